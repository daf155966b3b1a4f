"""Whether killing the engine is judged by what clients heard, byte for byte."""

from __future__ import annotations

import pytest

from tools.kill_engine import Reply, Round, figures, hear

WHOLE = Reply(text="One, two.", final="One, two.", status="completed", num_ends=1, usage=(5, 4))


def heard(text: str, *, status: str = "completed", ends: int = 1) -> Reply:
    """Return a reply that came as these events."""
    reply = Reply()
    for piece in (text[:3], text[3:]):
        hear(reply, {"type": "response.output_text.delta", "delta": piece})
    hear(reply, {"type": "response.output_text.done", "text": text})
    usage = {"input_tokens": 5, "output_tokens": 4}
    for _ in range(ends):
        hear(reply, {"type": "response.done", "response": {"status": status, "usage": usage}})
    return reply


def test_the_same_text_with_one_end_is_right() -> None:
    """Whatever pieces it came in."""
    assert heard("One, two.").verdict(WHOLE) == "ok"


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (heard("One, "), "lost after 5 code points"),
        (heard("One, One, two."), "other after 5 code points"),
        (heard("One, two.", status="failed"), "broken off"),
        (heard("One, two.", ends=2), "broken off"),
        (heard("One, two.", ends=0), "broken off"),
    ],
)
def test_anything_else_is_told(reply: Reply, verdict: str) -> None:
    """Text that is missing, that came twice, and ends that are none or two."""
    assert reply.verdict(WHOLE) == verdict


def test_an_error_on_the_way_is_no_good_reply() -> None:
    """Clients should see a status, not an error."""
    reply = heard("One, two.")
    hear(reply, {"type": "error", "error": {"code": "engine_dead"}})
    assert reply.verdict(WHOLE) == "broken off"


def test_figures_count_replies_and_not_rounds() -> None:
    """And the recovery of the rounds in which there was anything to recover."""
    rounds = [Round(2, 0, 3.0, ["ok", "ok"]), Round(1, 1, None, ["ok", "broken off"])]
    told = figures(rounds, [WHOLE, WHOLE], 0, 2.0)
    assert told["replies"] == 4
    assert told["replies_completed_byte_equal"] == 3
    assert told["replies_lost_repeated_or_broken_off"] == 1
    assert told["recovery_s_max"] == 3.0
    assert told["output_tokens_per_round"] == 8
