"""The target's own timings."""

from __future__ import annotations

import pytest

from clients.replay.figures.server_side import overhead_figures, server_figures
from clients.replay.records import RequestRecord


def request(ttft_s: float, **server_ms: float) -> RequestRecord:
    """Return a reply of one token, and what the target says of it."""
    return RequestRecord(
        request_id="r",
        session_id="s",
        turn=0,
        sent_s=1.0,
        token_times_s=[1.0 + ttft_s],
        server_ms=server_ms,
    )


def test_every_timing_that_was_told_has_its_distribution() -> None:
    """By the target's names, over those that told it."""
    found = server_figures([request(0.5, queue=2.0, ttft=490.0), request(0.5, queue=4.0)])
    assert list(found) == ["queue", "ttft"]
    assert (found["queue"].mean, found["ttft"].count) == (3.0, 1)


def test_the_way_adds_what_the_client_waited_longer() -> None:
    """Ten milliseconds here; what only one side timed has no difference."""
    found = overhead_figures([request(0.5, ttft=490.0, total=900.0), request(0.5)])
    assert list(found) == ["ttft"]
    assert found["ttft"].mean == pytest.approx(10.0)
