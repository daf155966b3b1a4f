"""Which replies were good, as ``vllm bench serve --goodput`` means it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clients.replay.figures.timings import DONE, e2e_s, mean_itl_s, tpot_s
from clients.replay.records import RequestRecord

MEASURES: dict[str, Callable[[RequestRecord], float | None]] = {
    "ttft": lambda request: request.ttft_s,
    "itl": mean_itl_s,
    "tpot": tpot_s,
    "e2e": e2e_s,
}
"""What an objective can be set for; seconds per reply."""


def is_good(request: RequestRecord, limits_s: Mapping[str, float]) -> bool:
    """Whether a reply was completed and kept every limit that was set.

    Reaching a limit exactly keeps it. A reply of one token has neither TPOT nor ITL and keeps any
    limit of those, as in vLLM; aiperf counts it as bad.

    Args:
        request: The reply; one that failed, was cancelled or brought no token is never good.
        limits_s: By names of ``MEASURES``.
    """
    if request.finish not in DONE or not request.token_times_s:
        return False
    return all((MEASURES[name](request) or 0.0) <= limit_s for name, limit_s in limits_s.items())
