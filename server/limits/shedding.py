"""Whether something new is taken on: under overload new work is shed, what runs goes on.

The pressure is the wait that one more response would have for its first token, as a share of the
longest that is bearable. As it rises, those are turned away first whom it costs least:

====  ==============================================================================
0.25  work that nobody waits for: reading ahead, summaries
0.5   tenants that have more than an equal part of the responses in the making
0.75  tenants that are new: who is in the middle of a conversation comes first
1     everybody
====  ==============================================================================

Where running streams already come too late for their listeners, the pressure is 1 whatever the
queue; where the KV memory is full and the engine has a queue, it is at least 0.5, because one more
prompt would only push others out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from server.limits.denial import Denial, Reason, in_words
from server.limits.load import Load
from server.limits.quotas import Standing

BACKGROUND = 0.25
ABOVE_SHARE = 0.5
NEW = 0.75
EVERYBODY = 1.0

MIN_RUNNING = 8
"""Streams that run before their being late says anything: a machine too slow for one listener
would otherwise never serve two."""
FULL_KV = 0.95
RETRY_MIN_S = 1.0
RETRY_MAX_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SheddingRules:
    """What is bearable.

    Attributes:
        max_wait_s: Seconds to the first token; infinite sheds nothing.
        max_late_share: Of all tokens, those that may come too late for their listeners.
    """

    max_wait_s: float
    max_late_share: float


def pressure(rules: SheddingRules, load: Load, now: float) -> float:
    """How near to the bearable the load is; 1 is at it."""
    if math.isinf(rules.max_wait_s):
        return 0.0
    share = load.predicted_wait_s(now) / rules.max_wait_s
    if load.num_running >= MIN_RUNNING and load.late_share > rules.max_late_share:
        share = max(share, EVERYBODY)
    if load.has_queue and load.kv_share >= FULL_KV:
        share = max(share, ABOVE_SHARE)
    return share


def judge(rules: SheddingRules, load: Load, standing: Standing, now: float) -> Denial | None:
    """Say whether one more response is too much, for whoever asks."""
    share = pressure(rules, load, now)
    if share >= EVERYBODY:
        who = "everybody"
    elif share >= NEW and standing.is_new:
        who = "whoever is new"
    elif share >= ABOVE_SHARE and standing.has_its_share:
        who = "whoever has many responses in the making"
    else:
        return None
    wait = load.predicted_wait_s(now)
    # When half of those who wait will have got their first token.
    retry_after_s = min(max(RETRY_MIN_S, wait / 2), RETRY_MAX_S)
    return Denial(
        Reason.OVERLOADED,
        f"the server is busy and turns {who} away for the moment: a response would wait for about "
        f"{in_words(wait)}. Please try again in {in_words(retry_after_s)}.",
        retry_after_s,
    )


def may_look_ahead(rules: SheddingRules, load: Load, now: float) -> bool:
    """Whether there is room for work that nobody waits for."""
    return pressure(rules, load, now) < BACKGROUND
