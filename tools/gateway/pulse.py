"""A process that beats time, so that lateness is the event loop's own.

``python -m tools.gateway.pulse SECONDS`` writes the clock's reading to stdout, 8 bytes per beat. A
process that reads them late was late by its own fault: the beat had been there. ``Pulse`` is the
reader on an event loop.
"""

from __future__ import annotations

import asyncio
import os
import struct
import subprocess
import sys
import time
from array import array
from collections.abc import Callable

_BEAT = struct.Struct("d")
_MAX_BEATS = 512


class Pulse:
    """Calls back when it has beaten, on the running loop.

    Attributes:
        late: Of every beat, when it fell (monotonic seconds) and how many seconds later the loop
            came to it, in turn.
    """

    def __init__(
        self,
        period_s: float,
        on_beats: Callable[[int], None] = lambda num_beats: None,
    ) -> None:
        """Start the process that beats.

        Args:
            period_s: Seconds between two beats.
            on_beats: Called with how many have come since the last call.
        """
        command = [sys.executable, "-m", "tools.gateway.pulse", str(period_s)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()
        os.set_blocking(self._pipe, False)
        self._on_beats = on_beats
        self.late = array("d")
        asyncio.get_running_loop().add_reader(self._pipe, self._read)

    def close(self) -> None:
        """End it."""
        asyncio.get_running_loop().remove_reader(self._pipe)
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        data = os.read(self._pipe, _MAX_BEATS * _BEAT.size)
        now = time.monotonic()
        for (beat,) in _BEAT.iter_unpack(data):
            self.late.extend((beat, now - beat))
        self._on_beats(len(data) // _BEAT.size)


def main(arguments: list[str]) -> int:
    """Beat until nobody listens."""
    period = float(arguments[0])
    due = time.monotonic()
    while True:
        due += period
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            os.write(1, _BEAT.pack(time.monotonic()))
        except BrokenPipeError:
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
