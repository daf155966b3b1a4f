"""Measures something in a process of its own; what it found comes back as JSON."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_SHOWN = 3000


class AloneFailed(Exception):
    """A process found nothing; the message says how it ended."""


def run_alone(
    arguments: Sequence[str],
    *,
    python: str = sys.executable,
    seconds: float | None = None,
    path: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Any:
    """Run an interpreter with these arguments, and ``--result FILE`` behind them.

    Args:
        arguments: Such as ``-m`` and a module, which writes JSON to the file.
        python: The interpreter.
        seconds: After which it is ended, with all that it started; ``None`` for never.
        path: Folders to import from, before this checkout's, and before those of our own
            environment where it is our own interpreter.
        environment: Variables beside our own.

    Returns:
        What the file held.

    Raises:
        AloneFailed: It ended with an error, or not in time.
    """
    paths = [*path, str(_ROOT)]
    if python == sys.executable and "PYTHONPATH" in os.environ:
        paths.append(os.environ["PYTHONPATH"])
    with tempfile.TemporaryDirectory() as folder:
        result, log = Path(folder) / "result.json", Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [python, *arguments, "--result", str(result)],
                stdout=output,
                stderr=output,
                env={
                    **os.environ,
                    **(environment or {}),
                    "PYTHONPATH": os.pathsep.join(paths),
                },
                start_new_session=True,
            )
            with _ending(process):
                try:
                    status = process.wait(seconds)
                except subprocess.TimeoutExpired:
                    if not result.is_file():  # some do not find their way out afterwards
                        raise AloneFailed(f"not ready within {seconds:.0f} s") from None
                    status = 0
        if status:
            told = log.read_text(encoding="utf-8", errors="replace").strip()
            raise AloneFailed(told[-_SHOWN:] or f"exit status {status}")
        return json.loads(result.read_bytes())


@contextlib.contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Leave nothing of it running."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
