"""Kaiwa's own scripts say when to think, when to interrupt, and what goes wrong."""

from __future__ import annotations

import json

import pytest

from clients.replay.script import READING_TOKENS_PER_S, Fault, ScriptError, Session
from clients.replay.traces.native import parse_native


def one(turn: dict[str, object], **fields: object) -> Session:
    """Parse a script of one session with one turn."""
    (session,) = parse_native(json.dumps({"turns": [turn], **fields}), "t", print)
    return session


def test_a_script_says_when_to_think_and_when_to_interrupt() -> None:
    """Milliseconds on disk, seconds inside."""
    session = one(
        {
            "input_length": 20,
            "output_length": 50,
            "think_ms": 2500,
            "after": "spoken",
            "at_ms": 9000,
            "barge_in": {"after_tokens": 7, "after_ms": 1500},
            "faults": [{"at_ms": 100, "kind": "stall", "for_ms": 2000}],
        },
        session_id="s",
        start_ms=1500,
    )
    (turn,) = session.turns
    assert (session.session_id, session.start_s) == ("s", 1.5)
    assert (turn.input_tokens, turn.output_tokens, turn.think_s) == (20, 50, 2.5)
    assert (turn.after, turn.at_s) == ("spoken", 9.0)
    assert (turn.barge_in_tokens, turn.barge_in_s) == (7, 1.5)
    assert turn.faults == (Fault(at_s=0.1, kind="stall", for_s=2.0),)


def test_who_listens_is_said_once_per_session() -> None:
    """Persona, tenant, priority and speed."""
    session = one(
        {"text": "hello"},
        persona="aoi",
        persona_tokens=120,
        tenant="gold",
        priority=-2,
        tokens_per_s=3.75,
        reserve_tokens=8,
    )
    assert (session.persona, session.persona_tokens) == ("aoi", 120)
    assert (session.tenant, session.priority) == ("gold", -2)
    assert (session.tokens_per_s, session.reserve_tokens) == (3.75, 8)


def test_what_is_not_said_is_ordinary() -> None:
    """A reader who comes at once; the reply's length is the model's."""
    session = one({"text": "how are you today?"})
    (turn,) = session.turns
    assert (session.session_id, session.start_s) == ("line-1", 0.0)
    assert (session.tokens_per_s, session.reserve_tokens) == (READING_TOKENS_PER_S, 1)
    assert (turn.input_tokens, turn.output_tokens, turn.after) == (5, None, "read")
    assert (turn.barge_in_tokens, turn.barge_in_s, turn.at_s, turn.faults) == (None, None, None, ())


@pytest.mark.parametrize(
    ("turn", "complaint"),
    [
        ({"input_length": -3}, "input_length is -3; it must be a number from 1 to"),
        ({"input_length": "x"}, "input_length is 'x'"),
        ({"text": 5}, "text is 5"),
        ({"after": "later"}, "after is 'later'; it must be read, spoken, final"),
        ({"thnk_ms": 4}, "there is no field 'thnk_ms'; there are after, at_ms"),
        ({"barge_in": 5}, "barge_in: it must be an object"),
        ({"barge_in": {}}, "barge_in: it needs after_tokens or after_ms"),
        ({"barge_in": {"after_s": 1}}, "barge_in: there is no field 'after_s'"),
        ({"barge_in": {"after_tokens": 0}}, "after_tokens is 0"),
        ({"faults": [{"kind": "fire"}]}, "fault 1: kind is 'fire'; it must be drop, stall or"),
        ({"faults": [{"kind": ["drop"]}]}, "fault 1: kind is"),
        ({"faults": "drop"}, "'faults' must be a list"),
        ({"faults": [{"kind": "drop", "for_s": 1}]}, "there is no field 'for_s'"),
    ],
)
def test_what_is_wrong_with_a_turn_is_named(turn: dict[str, object], complaint: str) -> None:
    """With its line, its number and the value."""
    with pytest.raises(ScriptError, match=f"t, line 1, turn 1.*{complaint}"):
        one(turn)


def test_what_is_wrong_with_a_session_is_named() -> None:
    """Fields that nobody knows included."""
    with pytest.raises(ScriptError, match="t, line 1: there is no field 'strt_ms'"):
        one({"text": "x"}, strt_ms=5)
    with pytest.raises(ScriptError, match="t, line 1: tokens_per_s is 0; it must be a number from"):
        one({"text": "x"}, tokens_per_s=0)
    with pytest.raises(ScriptError, match="t, line 1: 'turns' must be a list that is not empty"):
        parse_native('{"turns": []}', "t", print)
