"""How a stream of tokens feels to somebody who reads or hears it at a speed of their own.

A listener starts when enough tokens are there, consumes one every ``1 / speed`` seconds, and
stops when the next has not come: an underrun, which lasts until it comes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_TOLERANCE_S = 1e-9


@dataclass(frozen=True, slots=True)
class Playback:
    """One reply as its listener had it.

    Attributes:
        startup_s: From sending to the moment listening began.
        underruns: Times that the next token was not there.
        underrun_s: How long those lasted together.
        played_s: From the start of listening to the end of the last token, underruns included.
    """

    startup_s: float
    underruns: int
    underrun_s: float
    played_s: float


def play(
    times_s: Sequence[float], sent_s: float, speed: float, *, reserve_tokens: int = 1
) -> Playback | None:
    """Play a reply back.

    Args:
        times_s: When each token came.
        sent_s: When the request was sent.
        speed: Tokens per second.
        reserve_tokens: Tokens that must be there before listening begins; a shorter reply begins
            with its last.

    Returns:
        ``None`` for a reply without tokens.
    """
    if not times_s:
        return None
    late = underruns(times_s, speed, reserve_tokens=reserve_tokens)
    underrun_s = math.fsum(end - begin for begin, end in late)
    startup_s = _start(times_s, reserve_tokens) - sent_s
    return Playback(startup_s, len(late), underrun_s, len(times_s) / speed + underrun_s)


def underruns(
    times_s: Sequence[float], speed: float, *, reserve_tokens: int = 1
) -> list[tuple[float, float]]:
    """Return from when to when a listener had nothing left, on the clock of ``times_s``.

    Args:
        times_s: When each token came.
        speed: Tokens per second.
        reserve_tokens: Tokens that must be there before listening begins; see ``play``.
    """
    if not times_s:
        return []
    per_token = 1.0 / speed
    due = _start(times_s, reserve_tokens)
    late = []
    for time_s in times_s:
        if time_s - due > _TOLERANCE_S:
            late.append((due, time_s))
            due = time_s
        due += per_token
    return late


def _start(times_s: Sequence[float], reserve_tokens: int) -> float:
    return times_s[min(reserve_tokens, len(times_s)) - 1]


def heard_at(
    times_s: Sequence[float], now: float, speed: float, *, reserve_tokens: int = 1
) -> tuple[int, float]:
    """Return how many tokens a listener has begun by ``now``, and when all so far will be over."""
    if len(times_s) < reserve_tokens:
        return 0, now
    per_token = 1.0 / speed
    due = times_s[reserve_tokens - 1]
    heard = 0
    for time_s in times_s:
        due = max(due, time_s)
        if due <= now:
            heard += 1
        due += per_token
    return heard, due


def quality_of_experience(
    times_s: Sequence[float], sent_s: float, speed: float, expected_ttft_s: float
) -> float:
    """Return Andes's QoE of one reply, from 0 to 1.

    ``S_actual / S_expected``, the areas under the curves of tokens consumed over time until the
    last token has been consumed: as it was, consumption never faster than ``speed``, and as it
    should have been, ``min(speed * (t - expected_ttft), length)``. A reply that always leads its
    listener has 1, and being faster than that earns nothing. Source: Liu et al., "Andes: Defining
    and Enhancing Quality-of-Experience in LLM-Based Text Streaming Services", arXiv 2404.16283v2,
    section 3.1, and the authors' ``qoe_tracker.py``, whose listener begins no earlier than
    expected and whose horizon is the end of consumption. A token counts here as consumed evenly
    over ``1 / speed`` seconds, which gives both areas in closed form.

    Args:
        times_s: When each token came.
        sent_s: When the request was sent.
        speed: Tokens per second that are expected.
        expected_ttft_s: Seconds until the first token that are expected.

    Returns:
        0 for a reply without tokens.
    """
    if not times_s:
        return 0.0
    per_token = 1.0 / speed
    ideal = due = sent_s + expected_ttft_s
    begun: list[float] = []
    for time_s in times_s:
        due = max(due, time_s)
        begun.append(due)
        due += per_token
    horizon = due
    half = per_token / 2
    actual = sum(horizon - begin - half for begin in begun)
    expected = sum(horizon - (ideal + number * per_token) - half for number in range(len(begun)))
    return actual / expected


def effective_tokens(times_s: Sequence[float], speed: float) -> float:
    """Return a reply's tokens, each weighted by how soon it can be consumed.

    TokenFlow's effective throughput is the sum of these weights over all replies, per second of
    the run. With ``B`` unread tokens in the listener's buffer when a token comes and ``L`` the
    reply's length, the weight is 1 up to ``B = 0.1 L``, falls in a straight line to 0 at
    ``B = 0.2 L``, and is 0 beyond. Reading begins with the first token and takes one token every
    ``1 / speed`` seconds. Source: Chen et al., "TokenFlow: Responsive LLM Text Streaming Serving
    under Request Burst via Preemptive Scheduling", EuroSys '26, arXiv 2510.02758, sections 3.2
    (equation 1) and 7.1.3.
    """
    if not times_s:
        return 0.0
    full, none = 0.1 * len(times_s), 0.2 * len(times_s)
    total = 0.0
    read_at: list[float] = []
    num_read = 0
    for number, time_s in enumerate(times_s):
        while num_read < number and read_at[num_read] <= time_s:
            num_read += 1
        unread = number - num_read
        total += 1.0 if unread <= full else max(0.0, (none - unread) / (none - full))
        read_at.append(max(time_s, read_at[-1] + 1.0 / speed) if read_at else time_s)
    return total
