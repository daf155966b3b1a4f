"""ShareGPT's conversations: words and no times."""

from __future__ import annotations

import json

import pytest

from clients.replay.script import ScriptError, Session
from clients.replay.traces import sharegpt
from clients.replay.traces.sharegpt import parse_sharegpt


def sessions_of(*conversations: list[tuple[str, str]], notes: list[str]) -> list[Session]:
    """Parse conversations of who said what."""
    items = [
        {"id": f"c{n}", "conversations": [{"from": who, "value": words} for who, words in one]}
        for n, one in enumerate(conversations)
    ]
    return parse_sharegpt(json.dumps(items), "t.json", notes.append)


def words(count: int) -> str:
    """So many words of one token each."""
    return " ".join(["word"] * count)


def test_a_conversation_is_a_session_of_its_questions() -> None:
    """Answers only say how long the reply is to be; nothing says when anybody comes."""
    talk = [("human", words(9)), ("gpt", words(30)), ("human", words(5)), ("gpt", words(12))]
    (session,) = sessions_of(talk, notes=[])
    assert (session.session_id, session.start_s) == ("c0", 0.0)
    assert [(t.input_tokens, t.output_tokens, t.text) for t in session.turns] == [
        (9, 30, words(9)),
        (5, 12, words(5)),
    ]


@pytest.mark.parametrize(
    "talk",
    [
        [],
        [("human", words(9))],
        [("human", words(3)), ("gpt", words(9))],
        [("human", words(9)), ("gpt", words(3))],
        [("human", words(1025)), ("gpt", words(9))],
        [("human", words(1000)), ("gpt", words(1049))],
        [("gpt", words(9)), ("gpt", words(9))],
    ],
)
def test_vllms_filter_leaves_out_what_is_too_short_or_too_long(talk: list[tuple[str, str]]) -> None:
    """And it is told how many."""
    notes: list[str] = []
    good = [("human", words(1024)), ("gpt", words(1024))]
    assert [s.session_id for s in sessions_of(talk, good, notes=notes)] == ["c1"]
    assert notes[0].startswith("t.json: 1 conversations are left out")


def test_a_conversation_is_played_up_to_a_turn_that_is_too_long() -> None:
    """What comes behind would answer to nothing."""
    talk = [("human", words(9)), ("gpt", words(9)), ("human", words(2000)), ("gpt", words(9))]
    (session,) = sessions_of([*talk, *talk[:2]], notes=[])
    assert len(session.turns) == 1


def test_questions_nobody_answered_and_other_voices_are_passed_over() -> None:
    """The last question before an answer is the one that it answers."""
    talk = [
        ("system", "x"),
        ("human", words(8)),
        ("human", words(9)),
        ("gpt", words(9)),
        ("gpt", "y"),
    ]
    (session,) = sessions_of(talk, notes=[])
    assert [turn.input_tokens for turn in session.turns] == [9]


def test_a_conversation_per_line_is_read_too() -> None:
    """Some copies are written so."""
    talk = {
        "conversations": [{"from": "human", "value": words(4)}, {"from": "gpt", "value": words(4)}]
    }
    sessions = parse_sharegpt(f"{json.dumps(talk)}\n{json.dumps(talk)}\n", "t", print)
    assert [session.session_id for session in sessions] == ["conversation-1", "conversation-2"]


def test_a_list_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a single line, so lines do not bound it."""
    monkeypatch.setattr(sharegpt, "MAX_RECORDS", 2)
    with pytest.raises(ScriptError, match="t has 3 conversations; 2 is the most"):
        parse_sharegpt("[{}, {}, {}]", "t", print)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[1]", "t, conversation 1: it must be an object, not 1"),
        ("[{}", "t: no JSON"),
        ('[{"id": 1}]', "conversation 1: 'conversations' must be a list of messages"),
        ('[{"conversations": [1, 2]}]', "conversation 1, message 1: it must be an object"),
        ('[{"conversations": [{"from": 1}, {}]}]', "message 1: from is 1; it must be a string"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, complaint: str) -> None:
    """By the conversation, as such a file may be one line."""
    with pytest.raises(ScriptError, match=complaint):
        parse_sharegpt(text, "t", print)
