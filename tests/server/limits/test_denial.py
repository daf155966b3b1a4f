"""Refusals have stable names and tell waits as OpenAI does."""

from __future__ import annotations

import pytest

from server.limits.denial import Denial, Reason, in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "1ms"),
        (0.02, "20ms"),
        (1.0, "1s"),
        (12.35, "12.35s"),
        (59.9, "59.9s"),
        (60.0, "1m0s"),
        (125.4, "2m5s"),
        (3723.0, "1h2m3s"),
    ],
)
def test_waits_in_words(seconds: float, words: str) -> None:
    """Parts of a second, seconds, minutes, hours."""
    assert in_words(seconds) == words


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_code_and_a_side(reason: Reason) -> None:
    """What everybody together has taken is nobody's own limit."""
    denial = Denial(reason, "no")
    assert denial.code in {"rate_limit_exceeded", "too_many_connections", "server_overloaded"}
    assert denial.is_overload == (denial.code == "server_overloaded")
