"""Bailian's traces: chains of requests are conversations."""

from __future__ import annotations

import json

import pytest

from clients.replay.prompts import turn_ids
from clients.replay.script import ScriptError
from clients.replay.traces.bailian import parse_bailian


def line(chat_id: int, parent: int, time_s: float, length: int, reply: int, *ids: int) -> str:
    """One request."""
    fields = {
        "chat_id": chat_id,
        "parent_chat_id": parent,
        "timestamp": time_s,
        "input_length": length,
        "output_length": reply,
        "type": "text",
        "turn": 1,
        "hash_ids": ids,
    }
    return json.dumps(fields) + "\n"


def test_a_chain_is_a_session() -> None:
    """A turn's tokens are those in neither the parent's prompt nor its reply."""
    trace = line(9, -1, 61.0, 40, 10, 1, 2, 3) + line(4, 9, 65.5, 70, 8, 1, 2, 5, 6, 7)
    (session,) = parse_bailian(trace, "t", print)
    first, second = session.turns
    assert (session.session_id, session.start_s) == ("chat-9", 0.0)
    assert (first.input_tokens, first.output_tokens, first.hash_ids) == (40, 10, (1, 2, 3))
    assert (second.input_tokens, second.at_s, second.hash_ids) == (20, 4.5, (7,))
    assert {turn.hash_block for turn in session.turns} == {16}


def test_conversations_that_begin_with_equal_blocks_share_them() -> None:
    """Sixteen tokens each."""
    trace = line(1, -1, 0.0, 40, 10, 1, 2, 3) + line(2, -1, 1.0, 48, 10, 1, 2, 4)
    one, other = parse_bailian(trace, "t", print)
    ours, theirs = turn_ids(one, 0, 4096), turn_ids(other, 0, 4096)
    assert ours[:32] == theirs[:32]
    assert ours[32:] != theirs[32:40]


def test_another_reply_to_the_same_question_is_a_session_of_its_own() -> None:
    """The earlier one goes on; the later one brings its whole prompt."""
    trace = (
        line(1, -1, 0.0, 16, 4, 1)
        + line(2, 1, 5.0, 32, 4, 1, 2)
        + line(3, 1, 9.0, 32, 4, 1, 2)
        + line(4, 3, 12.0, 40, 4, 1, 2, 5)
    )
    first, second = parse_bailian(trace, "t", print)
    assert [turn.input_tokens for turn in first.turns] == [16, 12]
    assert (second.session_id, second.start_s) == ("chat-3", 9.0)
    assert [turn.input_tokens for turn in second.turns] == [32, 4]
    assert second.turns[0].hash_ids == (1, 2)


def test_a_parent_that_is_not_there_is_no_error() -> None:
    """Traces are cut out of longer ones; so are ours by a limit."""
    (session,) = parse_bailian(line(5, 3, 7.0, 64, 9, 1, 2, 3, 4), "t", print)
    assert session.turns[0].input_tokens == 64


def test_a_request_that_is_its_own_parent_ends() -> None:
    """And so does a ring."""
    ring = line(1, 2, 0.0, 16, 4) + line(2, 1, 1.0, 32, 4) + line(3, 3, 2.0, 16, 4)
    assert sum(len(session.turns) for session in parse_bailian(ring, "t", print)) == 3


def test_images_and_files_are_told() -> None:
    """They are played by their tokens."""
    notes: list[str] = []
    parse_bailian(line(1, -1, 0.0, 16, 4).replace("text", "image"), "t", notes.append)
    assert notes == ["t: images and files are played by their tokens, 1 requests of them"]


@pytest.mark.parametrize(
    ("trace", "complaint"),
    [
        (line(1, -1, 0.0, 16, 4) * 2, "line 2: chat_id is 1 once more"),
        (line(1, -2, 0.0, 16, 4), "parent_chat_id is -2; it must be a number from -1"),
        (line(1, -1, 0.0, 0, 4), "input_length is 0"),
        (line(1, -1, -5.0, 9, 4), "timestamp is -5.0"),
        ('{"chat_id": "x"}', "chat_id is 'x'"),
        (line(1, -1, 0.0, 16, 4).replace('"text"', "[]"), r"type is \[\]"),
    ],
)
def test_what_cannot_be_read_is_named(trace: str, complaint: str) -> None:
    """With its line and value."""
    with pytest.raises(ScriptError, match=complaint):
        parse_bailian(trace, "t", print)
