"""``kaiwa simulate``: what listeners would feel, without a model and without waiting."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from clients.replay.arguments import (
    above_0,
    add_report_options,
    at_least_0,
    check_report_options,
    positive,
)
from clients.replay.arrival_plan import ArrivalPlan, offered_rate
from clients.replay.metrics import Figures, Targets, figures
from clients.replay.page import write_report
from clients.replay.png import check_png
from clients.replay.presets import PRESETS
from clients.replay.records import RunRecord
from clients.replay.script import ScriptError, Session, with_load
from clients.replay.table import SideBySide
from clients.replay.traces.read import read_trace
from engine.config import Policy
from engine.errors import EngineError
from engine.simulator.machine import MACHINES, Machine, find_machine
from server.simulation import Settings, saturating_rate, simulate

_EPILOG = f"""\
workloads without a file:
{chr(10).join(f"  {preset.name:14} {preset.about}" for preset in PRESETS.values())}
A load of 1 is then what saturates the machine; for a trace, and for the tokenflow workloads, it is
the times as they are written.

machines:
{chr(10).join(f"  {machine.name:14} {machine.origin}" for machine in MACHINES.values())}

examples:
  kaiwa simulate chat --policy fcfs,deadline,paced --load 1,1.5,2
  kaiwa simulate tokenflow-a --cost h200-8b --policy fcfs,paced --report build/tokenflow
  kaiwa simulate mooncake.jsonl --limit 500 --cost h200-8b
  kaiwa simulate chat --cost fitted.json --kv-cache-tokens 4096
"""


def main(argv: Sequence[str]) -> int:
    """Run ``kaiwa simulate`` with these arguments and return the exit code."""
    options = _parse(argv)
    try:
        return _run(options)
    except (ScriptError, EngineError) as error:
        print(f"kaiwa simulate: {error}", file=sys.stderr)  # noqa: T201 - a command line
        return 2
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    if options.png:
        check_png()
    machine = find_machine(options.cost)
    sessions = _sessions(options, machine)
    if not sessions:
        raise ScriptError(f"{options.workload} holds no session")
    measured: list[tuple[RunRecord, Figures]] = []
    targets = Targets(options.ttft_target, options.itl_slo)
    started = time.perf_counter()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed} of {task.total} replies, {task.fields[virtual]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        for load in options.load:
            scaled = with_load(sessions, load)
            for policy in options.policy:
                name = policy if len(options.load) == 1 else f"{policy} {load:g}×"
                total = sum(len(session.turns) for session in scaled)
                task = progress.add_task(name, total=total, virtual="")

                def show(ended: int, now: float, task: object = task) -> None:
                    progress.update(task, completed=ended, virtual=f"{now:,.0f} s")  # type: ignore[arg-type]

                run = simulate(
                    scaled,
                    machine,
                    _settings(options, policy),
                    name=name,
                    load=load,
                    on_progress=show,
                )
                run.offered_per_s = offered_rate(scaled, ArrivalPlan("trace"))
                measured.append((run, figures(run, targets)))
                progress.remove_task(task)
    took = time.perf_counter() - started
    console = Console()
    title = f"{options.workload} on {machine.name}"
    console.print(SideBySide(measured, title))
    virtual = sum(run.duration_s for run, _ in measured)
    console.print(
        f"{len(sessions)} sessions, {len(measured)} runs: {virtual:,.0f} simulated seconds in "
        f"{took:.1f} s"
    )
    if options.report is not None:
        about = {"command": "kaiwa simulate " + " ".join(options.argv), "machine": machine.origin}
        about |= {"cost": str(machine.coefficients), "seed": options.seed}
        write_report(
            options.report,
            measured,
            title=f"Kaiwa, simulated: {title}",
            about=about,
            targets=targets,
            lang=options.lang,
            png=options.png,
        )
        console.print(f"{options.report / 'report.html'}")
    return 0


def _sessions(options: argparse.Namespace, machine: Machine) -> list[Session]:
    preset = PRESETS.get(options.workload)
    if preset is None:
        path = Path(options.workload)
        if not path.exists():
            known = ", ".join(PRESETS)
            raise ScriptError(f"{options.workload} is neither a file nor one of {known}")
        return read_trace(path, limit=options.limit, note=_note)
    sessions = preset.make(options.limit or preset.sessions, options.seed)
    return sessions if preset.absolute else with_load(sessions, saturating_rate(sessions, machine))


def _note(sentence: str) -> None:
    print(f"kaiwa simulate: {sentence}", file=sys.stderr)  # noqa: T201 - a command line


def _settings(options: argparse.Namespace, policy: Policy) -> Settings:
    return Settings(
        policy=policy,
        seed=options.seed,
        jitter=options.jitter,
        kv_cache_tokens=options.kv_cache_tokens,
        max_num_seqs=options.max_num_seqs,
        ttft_target_s=options.ttft_target,
        itl_target_s=options.itl_target,
        listener_reserve_s=options.reserve,
        look_ahead=options.look_ahead,
        max_wait_s=options.max_wait,
    )


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="kaiwa simulate",
        description="Play a workload on the real scheduler and ledger, with steps that take as "
        "long as a cost model says instead of a model that computes them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option("workload", metavar="TRACE_OR_WORKLOAD", help="a trace file, or a name from below")
    option(
        "--policy",
        type=_policies,
        default="deadline",
        metavar="NAME,…",
        help="fcfs, deadline or paced; several are set side by side (%(default)s)",
    )
    option(
        "--load",
        type=_loads,
        default="1",
        metavar="FACTOR,…",
        help="how densely sessions arrive; several in turn (%(default)s)",
    )
    option(
        "--cost",
        default="two-core-demo",
        metavar="MACHINE_OR_FILE",
        help="a machine from below, or the JSON of a fit (%(default)s)",
    )
    option("--seed", type=int, default=0, help="of lengths, arrivals and jitter (%(default)s)")
    option("--limit", type=positive, metavar="N", help="sessions; all of the trace if none")
    option(
        "--jitter",
        type=at_least_0,
        default=0.05,
        metavar="SIGMA",
        help="spread of the steps' times, as the logarithm's deviation (%(default)s)",
    )
    target = parser.add_argument_group("engine")
    option = target.add_argument
    option("--kv-cache-tokens", type=positive, metavar="N", help="KV budget; the machine's if none")
    option("--max-num-seqs", type=positive, metavar="N", help="rows; the machine's if none")
    option(
        "--ttft-target",
        type=above_0,
        default=0.5,
        metavar="SECONDS",
        help="deadline of first tokens, also what goodput and QoE expect (%(default)s)",
    )
    option(
        "--itl-target",
        type=above_0,
        metavar="SECONDS",
        help="what steps are planned to stay within; the machine's if none",
    )
    option(
        "--reserve",
        type=at_least_0,
        default=1.0,
        metavar="SECONDS",
        help="lead that paced leaves to every listener (%(default)s)",
    )
    option(
        "--max-wait",
        type=above_0,
        default=math.inf,
        metavar="SECONDS",
        help="turn new requests away that would wait longer, as a server with limits.max_wait_s "
        "does; errors in the report (%(default)s)",
    )
    option("--look-ahead", action="store_true", help="plan a step before the last one was read")
    target = parser.add_argument_group("report")
    option = target.add_argument
    option(
        "--itl-slo",
        type=above_0,
        default=0.2,
        metavar="SECONDS",
        help="mean gap between tokens that goodput allows (%(default)s)",
    )
    add_report_options(target)
    options = parser.parse_args(argv)
    check_report_options(parser, options)
    options.argv = list(argv)
    return options


def _policies(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in get_args(Policy):
            known = ", ".join(get_args(Policy))
            raise argparse.ArgumentTypeError(f"{name!r} is no policy; there are {known}")
    return names


def _loads(text: str) -> list[float]:
    return [above_0(part) for part in text.split(",")]
