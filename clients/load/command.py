"""``kaiwa replay``: plays a workload against servers, and reports what listeners felt."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from clients.access import Access, read_api_key
from clients.engine_trace import EngineTrace
from clients.load import crew, job
from clients.load.line import UnreadyTarget
from clients.load.options import parse
from clients.python.address import realtime_address
from clients.python.client import DEFAULT_URL
from clients.python.errors import ClientError
from clients.replay.arrival_plan import (
    ArrivalPlan,
    arranged,
    offered_rate,
)
from clients.replay.figures.distribution import percentile
from clients.replay.metrics import Figures, Targets, figures
from clients.replay.page import write_report
from clients.replay.png import check_png
from clients.replay.presets import PRESETS
from clients.replay.prompt_texts import PromptTexts
from clients.replay.records import RunRecord, StepRecord
from clients.replay.script import ScriptError, Session, fitted, resized
from clients.replay.sweep import Sweep
from clients.replay.table import side_by_side
from clients.replay.texts import SessionTexts, make_texts
from clients.replay.traces.read import read_trace

EXIT_INVALID = 3
Kind = Literal["kaiwa", "chat", "simulator"]
Simulate = Callable[[list[Session], argparse.Namespace, str], RunRecord]


@dataclass(frozen=True, slots=True)
class _Target:
    """One of the servers that are asked."""

    kind: Kind
    name: str
    url: str
    model: str


def main(argv: Sequence[str], simulate: Simulate | None = None) -> int:
    """Run ``kaiwa replay`` with these arguments and return the exit code.

    Args:
        argv: Behind the command's name.
        simulate: Plays on the simulator.
    """
    options = parse(argv)
    try:
        return _run(options, simulate)
    except ScriptError as error:
        _complain(str(error))
        return 2
    except (ClientError, UnreadyTarget) as error:
        _complain(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


def _complain(sentence: str) -> None:
    print(f"kaiwa replay: {sentence}", file=sys.stderr)


def _run(options: argparse.Namespace, simulate: Simulate | None) -> int:
    if options.png:
        check_png()
    targets = _targets(options)
    plan: ArrivalPlan = options.arrivals
    has_simulator = any(target.kind == "simulator" for target in targets)
    if has_simulator and (simulate is None or plan.kind == "closed"):
        raise ScriptError("the simulator takes no closed arrivals; it never makes anybody wait")
    sessions = _sessions(options)
    console = Console(stderr=True)
    texts = SessionTexts()
    source = PromptTexts(options.tokenizer)
    if any(target.kind != "simulator" for target in targets):
        with console.status("making the words of the workload"):
            texts = make_texts(sessions, source)
    slo = Targets(options.ttft_slo, options.itl_slo, options.tpot_slo, options.e2e_slo)
    measured: list[tuple[RunRecord, Figures]] = []
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed} of {task.total} replies, {task.fields[note]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:

        def run_once(target: _Target, at: ArrivalPlan, name: str) -> Figures:
            ready = arranged(sessions, at, seed=options.seed, time_scale=options.time_scale)
            if target.kind == "simulator":
                assert simulate is not None
                run = simulate(ready, options, target.url)
                run.name = name
            else:
                run = asyncio.run(_play(ready, texts, target, at, name, options, progress))
            run.offered_per_s = offered_rate(ready, at)
            run.about |= {"prompt lengths": "exact" if source.is_exact else "estimated"}
            measured.append((run, figures(run, slo)))
            return measured[-1][1]

        for number in range(options.rounds):
            for target in targets:
                suffix = f" #{number + 1}" if options.rounds > 1 else ""
                _runs_of(target, plan, suffix, options, run_once)
    title = Path(options.workload).name
    Console().print(side_by_side(measured, title))
    if options.report is not None:
        about = {"command": shlex.join(["kaiwa", "replay", *options.argv]), "seed": options.seed}
        write_report(
            options.report,
            measured,
            title=f"Kaiwa: {title}",
            about=about,
            targets=slo,
            lang=options.lang,
            png=options.png,
        )
        Console().print(f"{options.report / 'report.html'}")
    for run, _ in measured:
        if run.invalid:
            _complain(f"{run.name}: {run.invalid}")
    return EXIT_INVALID if any(run.invalid for run, _ in measured) else 0


def _runs_of(
    target: _Target,
    plan: ArrivalPlan,
    suffix: str,
    options: argparse.Namespace,
    run_once: Callable[[_Target, ArrivalPlan, str], Figures],
) -> None:
    """One run, or one for each rate, or a search for the knee."""
    if options.sweep:
        sweep = Sweep(plan.rate)
        while (rate := sweep.next_rate()) is not None:
            at = plan.at_rate(rate)
            sweep.add(
                rate, run_once(target, at, f"{target.name} {rate:.3g}/s{suffix}").goodput_share
            )
        return
    if options.rates:
        for rate in options.rates:
            run_once(target, plan.at_rate(rate), f"{target.name} {rate:.3g}/s{suffix}")
        return
    run_once(target, plan, target.name + suffix)


async def _play(
    sessions: list[Session],
    texts: SessionTexts,
    target: _Target,
    plan: ArrivalPlan,
    name: str,
    options: argparse.Namespace,
    progress: Progress,
) -> RunRecord:
    key = None if options.api_key_file is None else read_api_key(options.api_key_file)
    spec = job.TargetSpec(
        kind=target.kind,
        url=target.url,
        model=target.model,
        api_key=key,
        ca_file=None if options.ca_file is None else str(options.ca_file),
        events=options.events,
        ignores_end=not options.keep_end,
        fields=options.field,
    )
    trace = None
    if target.kind == "kaiwa" and not options.no_engine:
        trace = EngineTrace(Access(target.url, key, options.ca_file))
        try:
            await trace.start()
        except ClientError:
            trace = None  # its address may be closed to us; the listeners are what counts
    total = sum(len(session.turns) for session in sessions)
    task = progress.add_task(name, total=total, note="connecting")

    def show(so_far: job.Progress) -> None:
        note = f"{so_far.sent - so_far.ended} running, {so_far.failed} failed"
        progress.update(task, completed=so_far.ended, note=note)

    try:
        played = await crew.play(
            sessions,
            texts,
            spec,
            processes=options.processes,
            max_sessions=plan.count if plan.kind == "closed" else None,
            report_every_s=options.report_playback,
            reply_timeout_s=options.timeout,
            on_progress=show,
        )
    finally:
        progress.remove_task(task)
    steps: list[StepRecord] = []
    if trace is not None:
        await trace.finish()
        steps = trace.records(played.began_at)
    records = played.records
    ends = [record.ended_s for record in records if record.ended_s is not None]
    duration_s = max(ends, default=0.0) - min((record.sent_s for record in records), default=0.0)
    return RunRecord(
        name=name,
        policy="",
        load=1.0,
        requests=records,
        steps=[step for step in steps if 0 <= step.time_s <= max(ends, default=0.0)],
        duration_s=duration_s,
        target=target.kind,
        invalid="" if plan.kind == "closed" else _why_invalid(records, options.max_lag / 1e3),
        about={
            "target": target.url,
            "model": target.model,
            "arrivals": plan.kind,
            "client processes": options.processes,
            "client cpu share": round(played.cpu_s / max(duration_s, 1e-9), 3),
        },
    )


def _why_invalid(records: Sequence[Any], max_lag_s: float) -> str:
    """Say why a run says nothing of the server: requests left later than they should have."""
    lags = sorted(record.lag_s for record in records)
    if not lags or (late := percentile(lags, 99.0)) <= max_lag_s:
        return ""
    return (
        f"requests left late: {1e3 * late:.1f} ms at the 99th percentile, {1e3 * max_lag_s:g} are "
        "allowed (--max-lag); give the client more --processes or a machine of its own"
    )


def _targets(options: argparse.Namespace) -> list[_Target]:
    urls: list[str] = options.url or [DEFAULT_URL]
    models: list[str] = options.model or [""]
    if len(models) == 1:
        models = models * len(urls)
    names: list[str] = options.name or []
    if len(models) != len(urls) or (names and len(names) != len(urls)):
        raise ScriptError(
            f"{len(urls)} --url, {len(models)} --model and {len(names)} --name; give one of each "
            "for every --url, or one --model for all"
        )
    targets = []
    for number, (url, model) in enumerate(zip(urls, models, strict=True)):
        kind, address = _kind_of(url)
        name = names[number] if names else _name_of(kind, address)
        targets.append(_Target(kind, name, address, model or ("aoi" if kind == "kaiwa" else "")))
    return targets


def _kind_of(url: str) -> tuple[Kind, str]:
    if url.startswith("simulator"):
        return "simulator", url.partition(":")[2] or "two-core-demo"
    if url.startswith(("http:", "https:")):
        place = urlsplit(url)
        path = place.path.rstrip("/")
        if not path.endswith("/chat/completions"):
            path = (path or "/v1") + "/chat/completions"
        return "chat", place._replace(path=path).geturl()
    return "kaiwa", realtime_address(url)


def _name_of(kind: Kind, address: str) -> str:
    return address if kind == "simulator" else f"{kind} {urlsplit(address).netloc}"


def _sessions(options: argparse.Namespace) -> list[Session]:
    preset = PRESETS.get(options.workload)
    path = Path(options.workload)
    if preset is not None and not path.exists():
        sessions = preset.make(options.limit or preset.sessions, options.seed)
    elif path.exists():
        sessions = read_trace(path, limit=options.limit, note=_complain)
    else:
        known = ", ".join(PRESETS)
        raise ScriptError(f"{options.workload} is neither a file nor one of {known}")
    if options.lengths != 1:
        sessions = resized(sessions, options.lengths)
    if options.max_context is not None:
        sessions = fitted(sessions, options.max_context)
    if not sessions:
        raise ScriptError(f"{options.workload} holds no session that fits; see --max-context")
    names = {session.session_id for session in sessions}
    if len(names) < len(sessions):
        sessions = [
            replace(one, session_id=f"{n}:{one.session_id}") for n, one in enumerate(sessions)
        ]
    return sessions
