"""One client process: ``python -m clients.load.worker``, driven over its standard streams.

It reads a job, says that it is ready, reads when to begin, tells how it goes, and ends with its
records; or at once when its standard input ends, so that nobody goes on playing for a command that
is gone. Drawing the progress is another process's work, so that nothing is late here for it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from typing import BinaryIO

import msgspec
import uvloop

from clients.load.driver import Driver
from clients.load.job import Begin, Job, Progress, Ready, Result, Told

EXIT_ALONE = 1
_TELL_EVERY_S = 0.1


def main() -> int:
    """Play one share; returns the exit code."""
    lines, out = sys.stdin.buffer, sys.stdout.buffer
    job = msgspec.json.decode(lines.readline(), type=Job)
    _tell(out, Ready())
    begin = msgspec.json.decode(lines.readline(), type=Begin)
    threading.Thread(target=_end_with, args=(lines,), daemon=True).start()
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_play(job, begin.starts_at, out))
    return 0


async def _play(job: Job, starts_at: float, out: BinaryIO) -> None:
    told_at = 0.0

    def on_progress(sent: int, ended: int, failed: int) -> None:
        nonlocal told_at
        now = time.monotonic()
        if now - told_at >= _TELL_EVERY_S:
            told_at = now
            _tell(out, Progress(sent, ended, failed))

    driver = Driver(
        job.sessions,
        job.texts,
        job.target.make(),
        starts_at=starts_at,
        max_sessions=job.max_sessions,
        report_every_s=job.report_every_s,
        reply_timeout_s=job.reply_timeout_s,
        on_progress=on_progress,
    )
    before = time.process_time()
    records = await driver.run()
    _tell(out, Result(records, time.process_time() - before))


def _end_with(lines: BinaryIO) -> None:
    # Not by its buffer, whose lock nobody may hold when the interpreter ends.
    while os.read(lines.fileno(), 1):
        pass
    os._exit(EXIT_ALONE)


def _tell(out: BinaryIO, what: Told) -> None:
    out.write(msgspec.json.encode(what) + b"\n")
    out.flush()


if __name__ == "__main__":
    sys.exit(main())
