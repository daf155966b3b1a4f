"""Which replies were good."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from clients.replay.figures.goodput import is_good
from clients.replay.records import RequestRecord


def reply(times: Sequence[float], finish: str = "stop") -> RequestRecord:
    """Return a reply that was asked for at second 0."""
    return RequestRecord(
        request_id="r",
        session_id="s",
        turn=0,
        sent_s=0.0,
        token_times_s=list(times),
        ended_s=times[-1] if times else 1.0,
        finish=finish,
    )


@pytest.mark.parametrize(
    ("limits", "good"),
    [
        ({"ttft": 1.0}, True),
        ({"ttft": 0.9}, False),
        ({"tpot": 0.25, "e2e": 1.5}, True),
        ({"tpot": 0.2, "e2e": 1.5}, False),
        ({"itl": 0.25}, True),
        ({"ttft": 1.0, "e2e": 1.4}, False),
        ({}, True),
    ],
)
def test_a_good_reply_keeps_all_that_is_asked(limits: dict[str, float], good: bool) -> None:
    """First token after 1 s, two more a quarter of a second apart; a limit reached is kept."""
    assert is_good(reply([1.0, 1.25, 1.5]), limits) is good


def test_one_token_keeps_any_limit_between_tokens() -> None:
    """As in vLLM."""
    assert is_good(reply([1.0]), {"ttft": 1.0, "tpot": 0.001, "itl": 0.001})


@pytest.mark.parametrize("finish", ["abort", "error", ""])
def test_what_did_not_come_to_its_end_was_not_good(finish: str) -> None:
    """However fast it was."""
    assert not is_good(reply([0.1], finish), {"ttft": 1.0})


def test_a_reply_of_nothing_was_not_good() -> None:
    """It kept no limit, it missed them."""
    assert not is_good(reply([]), {"e2e": 9.0})
