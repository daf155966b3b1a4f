"""Scheduling policies against each other, live, and the simulator against what was measured.

First a probe finds how many sessions a second saturate the engine. Then every policy plays the
same sessions at multiples of that rate, in rounds that alternate between policies, each on an
engine process of its own. At last the simulator plays each of these runs again, with a cost model
fitted to that run's own steps, so that a machine that drifts between runs is not held against it;
live and simulated figures stand side by side.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from clients.replay.metrics import Figures, Targets, as_json, figures
from clients.replay.presets import PRESETS
from clients.replay.records import RunRecord
from clients.replay.script import Session, fitted, resized, total_output_tokens, with_load
from clients.replay.table import SideBySide, markdown, milliseconds
from engine.async_engine import AsyncEngine
from engine.config import EngineConfig
from engine.outputs import StepStats
from engine.simulator.machine import Machine, machine_as_json
from server.simulation import Settings, simulate
from tools.fit_cost import fit, samples
from tools.live_run import LiveRun

Runs = dict[tuple[str, float], list[RunRecord]]
"""By policy and load, one per round."""

COMPARED: list[tuple[str, Callable[[Figures], float], Callable[[float], str]]] = [
    ("TTFT p99 ms", lambda f: f.ttft_s.at(99), milliseconds),
    ("TTFT p50 ms", lambda f: f.ttft_s.at(50), milliseconds),
    ("ITL p99 ms", lambda f: f.itl_s.at(99), milliseconds),
    ("ITL p50 ms", lambda f: f.itl_s.at(50), milliseconds),
    ("tokens/s", lambda f: f.tokens_per_s, "{:,.0f}".format),
    ("effective tokens/s", lambda f: f.effective_tokens_per_s, "{:,.0f}".format),
    ("underruns", lambda f: float(f.own_speed.underruns), "{:,.0f}".format),
    ("underrun seconds", lambda f: f.own_speed.underrun_s, "{:,.1f}".format),
    ("QoE", lambda f: f.qoe, "{:.3f}".format),
]
"""What stands side by side with the simulator's: name, figure, form."""


async def measure(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Probe, play all rounds, fit, simulate; return everything that was found."""
    engines: dict[str, AsyncEngine] = {}
    try:
        for policy in options.policy:
            progress.console.print(f"starting an engine for {policy}")
            engines[policy] = await AsyncEngine.start(_config(options, policy))
        rate = options.rate or await _probe(options, engines[options.policy[0]], progress)
        live, steps = await _rounds(options, engines, rate, progress)
        info = next(iter(engines.values())).info
    finally:
        for engine in engines.values():
            await engine.aclose()
    every = [sample for runs in steps.values() for run in runs for sample in samples(run)]
    fitted_to = fit(every)
    machine = Machine(
        name=Path(options.model).name,
        coefficients=fitted_to.model(),
        kv_cache_tokens=info.num_blocks * info.block_size,
        max_num_seqs=info.max_num_seqs,
        max_num_batched_tokens=info.max_num_batched_tokens,
        itl_target_s=options.itl_target,
        origin=f"fitted to {fitted_to.num_steps} steps of {options.model}",
    )
    simulated = _simulated(options, machine, steps, rate, progress)
    return {
        "rate": rate,
        "machine": machine,
        "fit": fitted_to,
        "live": live,
        "simulated": simulated,
    }


async def _probe(options: argparse.Namespace, engine: AsyncEngine, progress: Progress) -> float:
    """Return the sessions per second at which the engine has no time left.

    A queue that never runs dry: every turn's lengths at once, nobody thinks or reads. Only the
    middle of it counts, when the batch is full.
    """
    task = progress.add_task("probing the saturating load", total=None)
    sessions = _sessions(options, 0)
    crowd = [
        Session(
            session_id=f"probe-{number}-{index}",
            start_s=0.0,
            turns=[turn],
            persona=session.persona,
            persona_tokens=session.persona_tokens,
            tokens_per_s=1e6,
        )
        for number, session in enumerate(sessions)
        for index, turn in enumerate(session.turns)
    ][: options.probe]
    record = await LiveRun(engine, crowd, name="probe", policy=options.policy[0]).play()
    times = sorted(time_s for r in record.requests for time_s in r.token_times_s)
    low, high = len(times) // 5, len(times) * 4 // 5
    tokens_per_s = (high - low) / (times[high] - times[low])
    progress.remove_task(task)
    rate = tokens_per_s / (total_output_tokens(sessions) / len(sessions))
    progress.console.print(f"saturated: {tokens_per_s:.0f} tokens/s, {rate:.2f} sessions/s")
    return rate


async def _rounds(
    options: argparse.Namespace, engines: dict[str, AsyncEngine], rate: float, progress: Progress
) -> tuple[Runs, dict[tuple[str, float], list[list[StepStats]]]]:
    runs: Runs = {}
    steps: dict[tuple[str, float], list[list[StepStats]]] = {}
    total = options.rounds * len(options.load) * len(engines)
    task = progress.add_task("playing", total=total)
    for number in range(options.rounds):
        for load in options.load:
            # Every other round backwards, so that a machine that drifts drifts for all.
            order = list(engines) if number % 2 == 0 else list(reversed(engines))
            for policy in order:
                name = f"{policy} {load:g}×"
                progress.update(task, description=f"round {number + 1}, {name}")
                sessions = with_load(_sessions(options, 1 + number), rate * load)
                live = LiveRun(
                    engines[policy],
                    sessions,
                    name=name,
                    policy=policy,
                    load=load,
                    ttft_target_s=options.ttft_target,
                )
                runs.setdefault((policy, load), []).append(await live.play())
                steps.setdefault((policy, load), []).append(live.steps)
                progress.advance(task)
    progress.remove_task(task)
    return runs, steps


def _simulated(
    options: argparse.Namespace,
    machine: Machine,
    steps: dict[tuple[str, float], list[list[StepStats]]],
    rate: float,
    progress: Progress,
) -> Runs:
    runs: Runs = {}
    task = progress.add_task("simulating", total=None)
    for load in options.load:
        for policy in options.policy:
            for number in range(options.rounds):
                own = fit(samples(steps[policy, load][number]))
                settings = Settings(
                    policy=policy,
                    seed=number,
                    noise=tuple(own.noise),
                    ttft_target_s=options.ttft_target,
                    tells_lengths=True,
                )
                sessions = with_load(_sessions(options, 1 + number), rate * load)
                fitted_machine = dataclasses.replace(machine, coefficients=own.model())
                run = simulate(
                    sessions, fitted_machine, settings, name=f"{policy} {load:g}×", load=load
                )
                runs.setdefault((policy, load), []).append(run)
    progress.remove_task(task)
    return runs


def pooled(runs: Sequence[RunRecord]) -> RunRecord:
    """Return several rounds as one run, so that a percentile is over all of them."""
    first = runs[0]
    return RunRecord(
        name=first.name,
        policy=first.policy,
        load=first.load,
        requests=[request for run in runs for request in run.requests],
        steps=first.steps,
        duration_s=sum(run.duration_s for run in runs),
        computed_tokens=sum(run.computed_tokens for run in runs),
        recomputed_tokens=sum(run.recomputed_tokens for run in runs),
        num_preemptions=sum(run.num_preemptions for run in runs),
        about=first.about,
    )


def comparison(
    live: dict[tuple[str, float], Figures], simulated: dict[tuple[str, float], Figures]
) -> str:
    """Return live and simulated figures and the error between them, as Markdown."""
    lines = ["| run | | live | simulated | error |", "| --- | --- | ---: | ---: | ---: |"]
    for key, measured in live.items():
        for name, figure, form in COMPARED:
            there, here = figure(measured), figure(simulated[key])
            error = f"{100 * (here / there - 1):+.0f} %" if there else "–"
            lines.append(
                f"| {key[0]} {key[1]:g}× | {name} | {form(there)} | {form(here)} | {error} |"
            )
    return "\n".join(lines)


def write(options: argparse.Namespace, found: dict[str, Any], console: Console) -> None:
    """Print the tables; with ``--report`` also write Markdown, JSON and the fitted machine."""
    targets = Targets(options.ttft_target, options.itl_slo)
    live = {key: pooled(runs) for key, runs in found["live"].items()}
    simulated = {key: pooled(runs) for key, runs in found["simulated"].items()}
    live_figures = {key: figures(run, targets) for key, run in live.items()}
    simulated_figures = {key: figures(run, targets) for key, run in simulated.items()}
    columns = [(run, live_figures[key]) for key, run in live.items()]
    console.print(SideBySide(columns, f"live: {options.workload} on {options.model}"))
    text = comparison(live_figures, simulated_figures)
    console.print(text)
    if options.report is None:
        return
    command = "python -m tools.bench_policies " + " ".join(options.argv)
    machine, fitted_to = found["machine"], found["fit"]
    page = (
        f"{markdown(columns)}\n\nLive, {options.rounds} alternating rounds pooled; 1× is "
        f"{found['rate']:.2f} sessions/s, where the probe found the engine saturated. Machine: "
        f"{os.cpu_count()} cores of {platform.processor() or platform.machine()}, Python "
        f"{platform.python_version()}.\n\n## The simulator beside it\n\nEach run "
        f"is simulated with a fit to its own steps. One fit to all {fitted_to.num_steps} steps has "
        f"a median error of {100 * fitted_to.error_p50:.1f} % per step: "
        + ", ".join(f"{k} {v:.3g}" for k, v in fitted_to.coefficients.items())
        + f".\n\n{text}\n\n```sh\n{command}\n```\n"
    )
    raw = {
        "command": command,
        "rate": found["rate"],
        "fit": {"coefficients": fitted_to.coefficients, "error_p50": fitted_to.error_p50},
        "live": {f"{p} {x:g}x": as_json(f) for (p, x), f in live_figures.items()},
        "simulated": {f"{p} {x:g}x": as_json(f) for (p, x), f in simulated_figures.items()},
        "rounds": {
            f"{p} {x:g}x": [as_json(figures(run, targets)) for run in runs]
            for (p, x), runs in found["live"].items()
        },
    }
    stem: Path = options.report
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".md").write_text(page, encoding="utf-8")
    stem.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    stem.with_suffix(".machine.json").write_text(
        json.dumps(machine_as_json(machine), indent=1) + "\n", encoding="utf-8"
    )
    console.print(f"written: {stem}.md, .json and .machine.json (for kaiwa simulate --cost)")


def _sessions(options: argparse.Namespace, seed: int) -> list[Session]:
    made = PRESETS[options.workload].make(options.sessions, options.seed * 1000 + seed)
    return fitted(resized(made, options.scale), options.max_model_len)


def _config(options: argparse.Namespace, policy: str) -> EngineConfig:
    settings: dict[str, Any] = {
        "model": options.model,
        "policy": policy,
        "max_num_seqs": options.max_num_seqs,
        "max_num_queued_reqs": 100_000,
        "itl_target_s": options.itl_target,
        "ttft_target_s": options.ttft_target,
        "max_model_len": options.max_model_len,
        "kv_cache_tokens": options.kv_cache_tokens,
    }
    if options.max_num_batched_tokens is not None:
        settings["max_num_batched_tokens"] = options.max_num_batched_tokens
    return EngineConfig.from_flat(**settings)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report what the command line asks for."""
    options = _parse(list(sys.argv[1:] if argv is None else argv))
    console = Console()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        found = asyncio.run(measure(options, progress))
    write(options, found, console)
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench_policies",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option("--model", default="configs/models/kaiwa-demo", help="folder (%(default)s)")
    option("--workload", choices=PRESETS, default="long-prompts", help="(%(default)s)")
    option("--policy", type=lambda t: t.split(","), default="fcfs,deadline,paced")
    option(
        "--load",
        type=lambda t: [float(x) for x in t.split(",")],
        default="1,1.5",
        help="multiples of the saturating rate (%(default)s)",
    )
    option("--rate", type=float, help="sessions a second at 1; probed if none")
    option("--probe", type=int, default=200, help="requests of the probe (%(default)s)")
    option("--sessions", type=int, default=300, help="in each round (%(default)s)")
    option("--scale", type=float, default=0.5, help="factor on all lengths (%(default)s)")
    option("--rounds", type=int, default=2, help="(%(default)s)")
    option("--max-num-seqs", type=int, default=32, help="(%(default)s)")
    option("--max-num-batched-tokens", type=int, help="the engine's default if none")
    option("--max-model-len", type=int, default=2048, help="(%(default)s)")
    option("--kv-cache-tokens", type=int, default=65_536, help="(%(default)s)")
    option("--ttft-target", type=float, default=0.5, help="seconds (%(default)s)")
    option("--itl-target", type=float, default=0.05, help="seconds (%(default)s)")
    option("--itl-slo", type=float, default=0.2, help="of goodput, seconds (%(default)s)")
    option("--seed", type=int, default=0)
    option("--report", type=Path, metavar="PREFIX", help="write PREFIX.md, .json, .machine.json")
    options = parser.parse_args(argv)
    options.argv = argv
    return options


if __name__ == "__main__":
    sys.exit(main())
