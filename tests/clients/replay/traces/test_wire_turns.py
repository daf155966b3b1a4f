"""What was noted of questions becomes turns of the same lengths and times."""

from __future__ import annotations

from typing import Any

import pytest

from clients.replay.traces.wire_turns import WireTurn, scripted


def noted(sent: float = 0.0, **fields: Any) -> WireTurn:
    """A question of forty characters."""
    return WireTurn(**{"sent": sent, "texts": [], "chars": 40, **fields})


def test_new_tokens_are_what_the_prompt_has_more_than_before() -> None:
    """Without what was not heard of the last reply."""
    first = noted(prompt_tokens=100, output_tokens=40, num_chars=80, kept_chars=20)
    second = noted(prompt_tokens=117, done=50.0)
    assert [turn.input_tokens for turn in scripted([first, second])] == [10, 7]


@pytest.mark.parametrize(("texts", "tokens"), [([], 10), (["良い夜", "Good evening"], 5)])
def test_a_prompt_that_tells_nothing_is_estimated(texts: list[str], tokens: int) -> None:
    """By its words, or by how long they are."""
    assert scripted([noted(texts=texts)])[0].input_tokens == tokens


def test_only_the_first_interruption_of_a_running_reply_counts() -> None:
    """At its time after the question; the reply's length is then its limit."""
    turn = noted(100.0, limit=90, output_tokens=20)
    turn.cancel(350.0)
    turn.cancel(400.0)
    over = noted(500.0, done=600.0, output_tokens=20)
    over.cancel(700.0)
    cut, whole = scripted([turn, over])
    assert (cut.barge_in_s, cut.output_tokens) == (0.25, 90)
    assert (whole.barge_in_s, whole.output_tokens) == (None, 20)


def test_thinking_begins_when_the_reply_is_over() -> None:
    """Whoever speaks over it has thought already."""
    turns = scripted([noted(0.0, done=100.0), noted(350.0, done=900.0), noted(600.0)])
    assert [turn.think_s for turn in turns] == [0.0, 0.25, 0.0]
