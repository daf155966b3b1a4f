"""The busiest moment of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from clients.replay.records import RequestRecord


def peak_concurrency(requests: Sequence[RequestRecord]) -> int:
    """Return the most requests that were open at one moment.

    A request is open from its sending until just before its end; one that never ended is open to
    the last. vLLM counts the requests that touch each whole second, which is never less.
    """
    changes = [(r.sent_s, 1) for r in requests]
    changes += [(r.ended_s, -1) for r in requests if r.ended_s is not None]
    highest = now = 0
    for _, change in sorted(changes):
        now += change
        highest = max(highest, now)
    return highest


def peak_tokens_per_s(requests: Sequence[RequestRecord]) -> float:
    """Return the most tokens that came within one second.

    Seconds are counted from the first sending, as vLLM does for ``max_output_tokens_per_s``; it
    counts pieces there, which are tokens where each piece is one.
    """
    begin = min((r.sent_s for r in requests), default=0.0)
    seconds = Counter(int(time_s - begin) for r in requests for time_s in r.token_times_s)
    return float(max(seconds.values(), default=0))
