"""Whether tenants were served alike."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from clients.replay.records import RequestRecord


def jain(shares: Sequence[float]) -> float:
    """Return Jain's index of fairness: 1 when all shares are equal, ``1 / n`` when one has all.

    ``(sum x)² / (n · sum x²)``; Jain, Chiu, Hawe, DEC-TR-301, 1984.
    """
    squares = math.fsum(share * share for share in shares)
    return math.fsum(shares) ** 2 / (len(shares) * squares) if squares > 0 else 1.0


def fairness(requests: Sequence[RequestRecord]) -> float:
    """Return Jain's index over tenants of the share of its tokens' worth that each got.

    The measure is each tenant's tokens per second of waiting and receiving, so that a tenant with
    twice the requests is not thought to be favoured.
    """
    tokens: dict[str, float] = defaultdict(float)
    seconds: dict[str, float] = defaultdict(float)
    for request in requests:
        if request.ended_s is not None and request.token_times_s:
            tokens[request.tenant] += len(request.token_times_s)
            seconds[request.tenant] += max(request.ended_s - request.sent_s, 1e-9)
    return jain([tokens[tenant] / seconds[tenant] for tenant in tokens]) if tokens else 1.0
