"""The target's own timings beside the client's: between them lie the network and the gateway."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clients.replay.figures.distribution import Distribution, distribution
from clients.replay.figures.timings import e2e_s, first_segment_s
from clients.replay.records import RequestRecord

_BOTH: dict[str, Callable[[RequestRecord], float | None]] = {
    "ttft": lambda request: request.ttft_s,
    "first_segment": first_segment_s,
    "total": e2e_s,
}
"""What both sides measure from a request's begin, by the target's name for it."""


def server_figures(requests: Sequence[RequestRecord]) -> dict[str, Distribution]:
    """Return the distribution of each timing that targets told, in milliseconds."""
    names = dict.fromkeys(name for r in requests for name in r.server_ms)
    return {name: distribution(r.server_ms.get(name) for r in requests) for name in names}


def overhead_figures(requests: Sequence[RequestRecord]) -> dict[str, Distribution]:
    """Return how much later the client had what the target timed, in milliseconds.

    The two clocks need not agree: each side measures a duration by its own. A negative value
    means that they do not count from the same moment.
    """
    found = {
        name: distribution(_overhead_ms(request, name, client_s) for request in requests)
        for name, client_s in _BOTH.items()
    }
    return {name: spread for name, spread in found.items() if spread.count}


def _overhead_ms(
    request: RequestRecord, name: str, client_s: Callable[[RequestRecord], float | None]
) -> float | None:
    server_ms, seconds = request.server_ms.get(name), client_s(request)
    return None if server_ms is None or seconds is None else 1e3 * seconds - server_ms
