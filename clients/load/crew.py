"""Several client processes play one workload together, on one clock."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from clients.load.driver import OPEN_AHEAD_S, REPLY_TIMEOUT_S
from clients.load.job import Begin, Job, Progress, Ready, Result, TargetSpec, Told
from clients.load.line import UnreadyTarget
from clients.replay.records import RequestRecord
from clients.replay.script import Session
from clients.replay.texts import SessionTexts

_LINE_BYTES = 1 << 30
_decode: Callable[[bytes], Told] = msgspec.json.Decoder(Told).decode
_LEAD_S = 0.5
"""From the last process's being ready to the first line's opening."""


@dataclass(frozen=True, slots=True)
class Played:
    """What a crew brings home.

    Attributes:
        records: In the order of sending.
        began_at: Second 0, on the machine's monotonic clock.
        cpu_s: Processor seconds of all client processes.
    """

    records: list[RequestRecord]
    began_at: float
    cpu_s: float


async def play(
    sessions: Sequence[Session],
    texts: SessionTexts,
    target: TargetSpec,
    *,
    processes: int = 1,
    max_sessions: int | None = None,
    report_every_s: float | None = None,
    reply_timeout_s: float = REPLY_TIMEOUT_S,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Played:
    """Play a workload; a cancelled call ends the processes.

    Raises:
        UnreadyTarget: A process failed; its own words are on standard error.
    """
    processes = max(1, min(processes, len(sessions), max_sessions or len(sessions)))
    jobs = []
    for number in range(processes):
        share = list(sessions[number::processes])
        at_a_time = None
        if max_sessions is not None:
            at_a_time = max_sessions // processes + (number < max_sessions % processes)
        turns = {one.session_id: texts.turns[one.session_id] for one in share}
        jobs.append(
            Job(
                target=target,
                sessions=share,
                texts=SessionTexts(texts.openings, turns),
                max_sessions=at_a_time,
                report_every_s=report_every_s,
                reply_timeout_s=reply_timeout_s,
            )
        )
    sums: dict[int, Progress] = {}

    def add_up(number: int, progress: Progress) -> None:
        sums[number] = progress
        every = sums.values()
        on_progress(
            Progress(
                sum(one.sent for one in every),
                sum(one.ended for one in every),
                sum(one.failed for one in every),
            )
        )

    hands = [_Hand(number, add_up) for number in range(processes)]
    try:
        await asyncio.gather(*(hand.start(job) for hand, job in zip(hands, jobs, strict=True)))
        began_at = time.monotonic() + _LEAD_S + OPEN_AHEAD_S
        results = await asyncio.gather(*(hand.play(began_at) for hand in hands))
    finally:
        await asyncio.gather(*(hand.end() for hand in hands))
    records = [record for result in results for record in result.records]
    records.sort(key=lambda record: record.sent_s)
    return Played(records, began_at, sum(result.cpu_s for result in results))


class _Hand:
    """One process."""

    def __init__(self, number: int, on_progress: Callable[[int, Progress], None]) -> None:
        self._number = number
        self._on_progress = on_progress
        self._process: asyncio.subprocess.Process | None = None
        self._is_done = False

    async def start(self, job: Job) -> None:
        """Start it and give it its job."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "clients.load.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
            process_group=0,  # a Ctrl-C is for us; we end it
        )
        await self._say(job)
        if not isinstance(await self._hear(), Ready):
            raise UnreadyTarget("a client process does not answer as it should")

    async def play(self, starts_at: float) -> Result:
        """Let it begin, and wait for its records."""
        await self._say(Begin(starts_at))
        while True:
            told = await self._hear()
            if isinstance(told, Result):
                self._is_done = True
                return told
            if isinstance(told, Progress):
                self._on_progress(self._number, told)

    async def end(self) -> None:
        """End it at once, if it still runs, and wait until it is gone."""
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        if not self._is_done and process.returncode is None:
            process.kill()
        await process.wait()
        # Pipes that outlive the loop complain on stderr when they are collected.
        with contextlib.suppress(RuntimeError):  # somebody still listens, and will hear the end
            await process.stdout.read()
        with contextlib.suppress(ConnectionError):
            await process.stdin.wait_closed()

    async def _say(self, what: Job | Begin) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(what) + b"\n")
        await self._process.stdin.drain()

    async def _hear(self) -> Told:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            code = await self._process.wait()
            raise UnreadyTarget(f"a client process ended with exit code {code}")
        return _decode(line)
