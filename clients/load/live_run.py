"""One run of a workload against one server that is there."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rich.progress import Progress

from clients.access import Access, read_api_key
from clients.engine_trace import EngineTrace
from clients.load import crew, job
from clients.load.targets import Target
from clients.python.errors import ClientError
from clients.replay.arrival_plan import ArrivalPlan
from clients.replay.figures.distribution import percentile
from clients.replay.records import RequestRecord, RunRecord, StepRecord
from clients.replay.script import Session
from clients.replay.texts import SessionTexts


async def play_live(
    sessions: list[Session],
    texts: SessionTexts,
    target: Target,
    plan: ArrivalPlan,
    name: str,
    options: argparse.Namespace,
    progress: Progress,
) -> RunRecord:
    """Play sessions and return what came of them.

    Args:
        sessions: With their start times.
        texts: Their words.
        target: Whom to ask.
        plan: How the sessions arrive.
        name: Of the run.
        options: Of ``kaiwa replay``.
        progress: Shows how far it is; its tasks have a field ``note``.

    Raises:
        UnreadyTarget: The target cannot be used.
    """
    key = None if options.api_key_file is None else read_api_key(options.api_key_file)
    spec = _spec_of(target, options, key)
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
    moments = [m for one in records for m in (one.sent_s, one.ended_s) if m is not None]
    last_s = max(moments, default=0.0)
    duration_s = last_s - min(moments, default=0.0)
    return RunRecord(
        name=name,
        policy="",
        load=1.0,
        requests=records,
        steps=[step for step in steps if 0 <= step.time_s <= last_s],
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


def _spec_of(target: Target, options: argparse.Namespace, key: str | None) -> job.TargetSpec:
    return job.TargetSpec(
        kind=target.kind,
        url=target.url,
        model=target.model,
        api_key=key,
        ca_file=None if options.ca_file is None else str(options.ca_file),
        events=options.events,
        ignores_end=not options.keep_end,
        fields=options.field,
    )


def _why_invalid(records: Sequence[RequestRecord], max_lag_s: float) -> str:
    """Say why a run says nothing of the server: requests left later than they should have."""
    lags = sorted(record.lag_s for record in records)
    if not lags or (late := percentile(lags, 99.0)) <= max_lag_s:
        return ""
    return (
        f"requests left late: {1e3 * late:.1f} ms at the 99th percentile, {1e3 * max_lag_s:g} are "
        "allowed (--max-lag); give the client more --processes or a machine of its own"
    )
