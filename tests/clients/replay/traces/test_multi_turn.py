"""aiperf's conversations: in words, at times or after delays."""

from __future__ import annotations

import json

import pytest

from clients.replay.script import ScriptError, Session
from clients.replay.traces.multi_turn import is_multi_turn, parse_multi_turn


def parsed(*lines: dict[str, object], notes: list[str] | None = None) -> list[Session]:
    """Parse lines of this format."""
    text = "\n".join(json.dumps(line) for line in lines)
    return parse_multi_turn(text, "t", ([] if notes is None else notes).append)


def test_times_are_those_of_the_run() -> None:
    """A later turn waits for its time, and for the reply before."""
    first, second = parsed(
        {"turns": [{"timestamp": 500, "text": "hi"}, {"timestamp": 2500, "text": "x"}]},
        {"turns": [{"timestamp": 1500, "text": "hi"}]},
    )
    assert (first.start_s, second.start_s) == (0.0, 1.0)
    assert [turn.at_s for turn in first.turns] == [None, 2.0]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (
            [{"turns": [{"timestamp": 17e11, "text": "a"}]}, {"turns": [{"text": "b"}]}],
            "line 2, turn 1: it has no timestamp, and other conversations have",
        ),
        (
            [{"turns": [{"text": "a"}, {"timestamp": 17e11, "text": "b"}]}],
            "line 1, turn 2: timestamp is 17.*, but its conversation begins without one",
        ),
    ],
)
def test_times_are_everywhere_or_nowhere(lines: list[dict[str, object]], complaint: str) -> None:
    """By a clock of the day the others would begin in fifty years."""
    with pytest.raises(ScriptError, match=complaint):
        parsed(*lines)


def test_delays_begin_with_the_last_reply() -> None:
    """Milliseconds on disk, seconds inside; the first turn has none."""
    (session,) = parsed(
        {"turns": [{"text": "hi", "delay": 9, "output_length": 7}, {"text": "x", "delay": 1500}]}
    )
    assert [(t.think_s, t.after, t.output_tokens) for t in session.turns] == [
        (0.0, "final", 7),
        (1.5, "final", None),
    ]


def test_lines_of_one_session_are_one_conversation() -> None:
    """And lines without an id are one each."""
    sessions = parsed(
        {"session_id": "a", "turns": [{"text": "one"}]},
        {"turns": [{"text": "two"}]},
        {"session_id": "a", "turns": [{"text": "three"}]},
    )
    assert [[turn.text for turn in session.turns] for session in sessions] == [
        ["one", "three"],
        ["two"],
    ]


def test_a_leading_system_turn_is_the_persona() -> None:
    """Who has the same words shares it."""
    system = {"role": "system", "text": "Be brief, please."}
    one, other, none = parsed(
        {"turns": [system, {"text": "a"}]},
        {"turns": [system, {"text": "b"}]},
        {"turns": [{"role": "user", "text": "c"}]},
    )
    assert one.persona == other.persona != none.persona == ""
    assert (one.persona_text, none.persona_text) == ("Be brief, please.", "")
    assert (one.persona_tokens, none.persona_tokens) == (5, 0)
    assert [turn.text for turn in one.turns] == ["a"]


def test_fields_that_are_null_are_as_if_they_were_not_there() -> None:
    """Pydantic models write out every field."""
    notes: list[str] = []
    nulls = dict.fromkeys(("texts", "images", "audio", "timestamp", "role", "output_length"))
    (session,) = parsed({"type": "multi_turn", "turns": [{**nulls, "text": "hi"}]}, notes=notes)
    assert (session.turns[0].text, notes) == ("hi", [])


@pytest.mark.parametrize(
    "line",
    [
        {"type": "multi_turn", "turns": [{"text": "hi"}]},
        {"turns": [{"text": "hi", "extra": {"temperature": 0}}]},
        {"turns": [{"text": "hi"}, {"text": "see", "videos": ["u"]}]},
    ],
)
def test_what_only_aiperf_writes_tells_its_files(line: dict[str, object]) -> None:
    """A script of Kaiwa has none of these fields."""
    assert is_multi_turn(line)
    assert not is_multi_turn({"turns": [{"text": "hi", "output_length": 7}]})


def test_several_texts_are_lines_of_one_turn() -> None:
    """Plain or with names."""
    (session,) = parsed(
        {"turns": [{"texts": ["a", {"name": "field", "contents": ["b", "c"]}], "images": ["u"]}]}
    )
    assert session.turns[0].text == "a\nb\nc"


def test_pictures_are_left_out_and_told() -> None:
    """Listeners only send text."""
    notes: list[str] = []
    parsed({"turns": [{"text": "look", "image": "u"}, {"text": "hm"}]}, notes=notes)
    assert notes == ["t: images, sounds and films are left out, of 1 turns"]


def test_only_aiperfs_own_fields_tell_the_format() -> None:
    """A turn of mere text may be anybody's."""
    assert is_multi_turn({"turns": [{"text": "a"}, {"text": "b", "delay": 0}]})
    assert not is_multi_turn({"turns": [{"text": "a", "output_length": 4}]})
    assert not is_multi_turn({"turns": "delay"})


@pytest.mark.parametrize(
    ("turns", "complaint"),
    [
        ([{"text": "a"}, {"role": "assistant", "text": "b"}], "turn 2: role is 'assistant'; a lis"),
        ([{"role": "system", "text": "b"}], "turn 1: role is 'system'"),
        ([{"text": "a", "timestamp": 5, "delay": 5}], "it has both timestamp and delay"),
        ([{"text": " "}], "turn 1: nothing is said"),
        ([{"texts": "a"}], "texts is 'a'; it must be a list"),
        ([{"texts": [1]}], r"texts has 1; it must hold strings"),
        ([{"text": "a", "timestamp": "soon"}], "timestamp is 'soon'"),
        ([], "'turns' must be a list that is not empty"),
    ],
)
def test_what_cannot_be_read_is_named(turns: object, complaint: str) -> None:
    """With its line, turn and value."""
    with pytest.raises(ScriptError, match=f"t, line 1.*{complaint}"):
        parsed({"turns": turns})
