"""A workload can be made denser, smaller, and cut to fit."""

from __future__ import annotations

import pytest

from clients.replay.script import (
    ScriptError,
    Session,
    Turn,
    fitted,
    resized,
    total_output_tokens,
    with_load,
)


def session(*turns: Turn, persona_tokens: int = 0) -> Session:
    """A session that starts at 10 s."""
    return Session(session_id="a", start_s=10.0, turns=list(turns), persona_tokens=persona_tokens)


def test_load_compresses_arrivals_and_leaves_listeners_alone() -> None:
    """Twice the load is half the time between sessions."""
    (denser,) = with_load([session(Turn(input_tokens=1, think_s=3.0))], 2.0)
    assert (denser.start_s, denser.turns[0].think_s) == (5.0, 3.0)
    with pytest.raises(ScriptError, match="above 0"):
        with_load([session()], 0.0)


def test_a_factor_scales_prompts_and_replies_down_to_one_token() -> None:
    """A length that the model decides stays its own."""
    turns = Turn(input_tokens=9, output_tokens=1), Turn(input_tokens=1)
    (smaller,) = resized([session(*turns, persona_tokens=40)], 0.25)
    assert smaller.persona_tokens == 10
    assert [(t.input_tokens, t.output_tokens) for t in smaller.turns] == [(2, 1), (1, None)]


def test_sessions_end_before_the_turn_that_does_not_fit() -> None:
    """One that has none left is left out."""
    turns = Turn(input_tokens=10, output_tokens=5), Turn(input_tokens=10, output_tokens=6)
    assert [len(s.turns) for s in fitted([session(*turns, persona_tokens=4)], 34)] == [1]
    assert fitted([session(*turns)], 14) == []


def test_replies_of_known_length_add_up() -> None:
    """Others count nothing."""
    turns = Turn(input_tokens=1, output_tokens=5), Turn(input_tokens=1)
    assert total_output_tokens([session(*turns), session(*turns)]) == 10
