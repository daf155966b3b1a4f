"""Whether tenants were served alike."""

from __future__ import annotations

import pytest

from clients.replay.figures.fairness import fairness, jain
from clients.replay.records import RequestRecord


def request(tenant: str, seconds: float) -> RequestRecord:
    """Return a reply of two tokens that took so long."""
    return RequestRecord(
        request_id="r",
        session_id="s",
        turn=0,
        sent_s=0.0,
        tenant=tenant,
        token_times_s=[seconds, seconds],
        ended_s=seconds,
    )


def test_fairness_is_1_between_equals_and_falls_with_a_favourite() -> None:
    """Jain's index."""
    assert jain([3.0, 3.0, 3.0]) == pytest.approx(1.0)
    assert jain([1.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)


def test_more_requests_are_no_favour_and_faster_ones_are() -> None:
    """Tokens per second of each tenant are compared."""
    assert fairness([request("a", 1.0), request("a", 1.0), request("b", 1.0)]) == pytest.approx(1)
    assert fairness([request("a", 1.0), request("b", 3.0)]) == pytest.approx(0.8)
    assert fairness([]) == 1.0
