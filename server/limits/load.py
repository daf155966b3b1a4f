"""How much more the engine can take, judged by how it has served those before.

Two estimates of how long a new response would wait for its first token, and the longer one counts:

* *By its queue*: so many wait, and while anybody waited, so many per second got their first token.
* *By its rows*: whoever finds no free row waits for others to end, and of so many rows one becomes
  free in every ``duration / rows`` seconds (Little 1961). It knows of a full batch before the queue
  has told.

Both forget within seconds of work, so that they follow a change of load. Beside them stand the
share of tokens that came too late for their listeners, and how full the KV memory is.
"""

from __future__ import annotations

import math

from engine.outputs import StepStats

MEMORY_S = 10.0
"""Seconds of waiting after which the rate of first tokens is forgotten to 1/e."""
DURATION_WEIGHT = 0.1
"""Of the newest reply in the mean duration."""
MIN_QUEUE = 4
"""Responses that wait before their waiting says anything: fewer may all have long prompts."""
UNDERRUN_MEMORY_TOKENS = 2000.0
"""Decoded tokens after which those that came too late are forgotten to 1/e."""


class Load:
    """What is known of the engine's load.

    Attributes:
        num_rows: Responses that can be computed at once; 0 while that is not known.
        num_waiting: Responses that wait for their first token.
        num_running: Responses that have had it and have not ended.
        kv_share: Of the KV memory that is held.
        has_queue: Whether the engine itself lets requests wait.
    """

    def __init__(self) -> None:
        """Know nothing."""
        self.num_rows = 0
        self.num_waiting = 0
        self.num_running = 0
        self.kv_share = 0.0
        self.has_queue = False
        self._waited_s = 0.0  # seconds in which anybody waited, fading
        self._num_first = 0.0  # first tokens in them, fading
        self._last = 0.0
        self._mean_duration_s: float | None = None
        self._late_share = 0.0

    def started(self, now: float) -> None:
        """A response has been handed to the engine."""
        self._pass(now)
        self.num_waiting += 1

    def began(self, now: float) -> None:
        """A response has got its first token."""
        self._pass(now)
        self.num_waiting -= 1
        self.num_running += 1
        self._num_first += 1.0

    def left(self, now: float, *, had_begun: bool, duration_s: float | None) -> None:
        """A response has ended.

        Args:
            now: Seconds.
            had_begun: Whether it had got its first token.
            duration_s: From its first token to its last, if it was written whole.
        """
        self._pass(now)
        if had_begun:
            self.num_running -= 1
        else:
            self.num_waiting -= 1
        if duration_s is not None:
            mean = duration_s if self._mean_duration_s is None else self._mean_duration_s
            self._mean_duration_s = mean + DURATION_WEIGHT * (duration_s - mean)

    def on_step(self, stats: StepStats) -> None:
        """Take in one engine step."""
        self.has_queue = stats.num_waiting > 0
        if stats.kv_blocks_total:
            self.kv_share = stats.kv_blocks_used / stats.kv_blocks_total
        if stats.decode_tokens > 0:
            keep = math.exp(-stats.decode_tokens / UNDERRUN_MEMORY_TOKENS)
            late = min(1.0, stats.num_underruns / stats.decode_tokens)
            self._late_share = keep * self._late_share + (1.0 - keep) * late

    @property
    def late_share(self) -> float:
        """Of the tokens of late, those that came too late for their listeners."""
        return self._late_share

    def predicted_wait_s(self, now: float) -> float:
        """Seconds that one more response would wait for its first token."""
        self._pass(now)
        return max(self._wait_by_queue(), self._wait_by_rows())

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless the numbers make sense."""
        assert self.num_waiting >= 0
        assert self.num_running >= 0
        assert self._waited_s >= 0
        assert self._num_first >= 0
        assert 0 <= self._late_share <= 1

    def _pass(self, now: float) -> None:
        """Count the time in that has passed since the last look."""
        seconds = max(0.0, now - self._last)
        self._last = max(now, self._last)
        if self.num_waiting == 0 or seconds == 0.0:
            return
        keep = math.exp(-seconds / MEMORY_S)
        self._waited_s = keep * self._waited_s + seconds
        self._num_first *= keep

    def _wait_by_queue(self) -> float:
        if self.num_waiting < MIN_QUEUE:
            return 0.0
        # Where nobody has got a token yet the next one may at this very moment.
        return self.num_waiting * self._waited_s / max(1.0, self._num_first)

    def _wait_by_rows(self) -> float:
        if self.num_rows == 0 or self._mean_duration_s is None:
            return 0.0
        rows = max(self.num_rows, self.num_running)
        num_behind = self.num_waiting - (rows - self.num_running)
        return max(0, num_behind + 1) * self._mean_duration_s / rows
