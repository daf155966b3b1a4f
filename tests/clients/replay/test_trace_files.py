"""Traces in the formats of others, read as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clients.replay.prompts import opening_ids, turn_ids
from clients.replay.script import ScriptError, Session, Turn, with_load
from clients.replay.trace_files import parse_trace, read_trace

MOONCAKE = """\
{"timestamp": 27000, "input_length": 1100, "output_length": 52, "hash_ids": [46, 47, 2353]}
{"timestamp": 30000, "input_length": 1300, "output_length": 26, "hash_ids": [46, 47, 9001]}
"""

BURSTGPT = """\
Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
5,7,1.2,ChatGPT,472,18,490,Conversation log
15,7,0.9,ChatGPT,600,40,640,Conversation log
20,,2.0,GPT-4,1087,230,1317,API log
25,,0.1,GPT-4,10,0,10,API log
"""


def script(**turn: object) -> str:
    """Return a native script of one session with one turn."""
    return json.dumps({"session_id": "s", "start_ms": 1500, "persona": "aoi", "turns": [turn]})


def test_mooncake_shares_prompts_block_by_block() -> None:
    """Two requests with two equal hash ids have 1,024 tokens in common, and then none."""
    first, second = parse_trace(MOONCAKE)
    assert (first.start_s, second.start_s) == (0.0, 3.0)
    assert (first.turns[0].output_tokens, second.turns[0].input_tokens) == (52, 1300)
    ours, theirs = turn_ids(first, 0, 32_000), turn_ids(second, 0, 32_000)
    assert (len(ours), len(theirs)) == (1100, 1300)
    assert ours[:1024] == theirs[:1024]
    assert ours[1024] != theirs[1024]


def test_burstgpt_sessions_are_conversations_and_failures_are_left_out() -> None:
    """The second row of a session brings only what is new."""
    chat, single = parse_trace(BURSTGPT)
    assert [(t.input_tokens, t.output_tokens, t.think_s) for t in chat.turns] == [
        (472, 18, 0.0),
        (110, 40, 10.0),
    ]
    assert (single.start_s, single.turns[0].output_tokens) == (15.0, 230)


def test_burstgpt_files_without_sessions_are_read_too() -> None:
    """Older files lack two columns."""
    old = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n3,GPT-4,5,6,11,x\n"
    assert len(parse_trace(old)) == 1


def test_a_script_says_when_to_think_and_when_to_interrupt() -> None:
    """Milliseconds on disk, seconds inside."""
    (session,) = parse_trace(
        script(
            input_length=20,
            output_length=50,
            think_ms=2500,
            after="spoken",
            barge_in={"after_tokens": 7},
            faults=[{"at_ms": 100, "kind": "stall", "for_ms": 2000}],
        )
    )
    turn = session.turns[0]
    assert (session.start_s, session.persona, turn.think_s, turn.after) == (
        1.5,
        "aoi",
        2.5,
        "spoken",
    )
    assert (turn.barge_in_tokens, turn.faults[0].kind, turn.faults[0].for_s) == (7, "stall", 2.0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        ("nonsense", "line 1: no JSON"),
        ("[1]", "must be an object"),
        ('{"a": 1}', "neither 'turns'"),
        (script(input_length=-3), "turn 1: input_length is -3"),
        (script(input_length="x"), "input_length is 'x'"),
        (script(after="later"), "after is 'later'"),
        (script(faults=[{"kind": "fire"}]), "a fault must be"),
        ('{"hash_ids": [1], "input_length": 4, "output_length": 1}', "timestamp is None"),
        ('{"hash_ids": "x", "timestamp": 0}', "'hash_ids' must be a list"),
        ('{"turns": []}', "'turns' must be a list that is not empty"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_line(text: str, complaint: str) -> None:
    """With what was found there."""
    with pytest.raises(ScriptError, match=complaint):
        parse_trace(text)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """One sentence instead of a traceback."""
    with pytest.raises(ScriptError, match="cannot read"):
        read_trace(tmp_path / "none.jsonl")


def test_a_limit_keeps_the_first_sessions(tmp_path: Path) -> None:
    """A long trace can be tried out."""
    file = tmp_path / "trace.jsonl"
    file.write_text(MOONCAKE, encoding="utf-8")
    assert len(read_trace(file, limit=1)) == 1


def test_load_compresses_arrivals_and_leaves_listeners_alone() -> None:
    """Twice the load is half the time between sessions."""
    session = Session(session_id="a", start_s=10.0, turns=[Turn(input_tokens=1, think_s=3.0)])
    (denser,) = with_load([session], 2.0)
    assert (denser.start_s, denser.turns[0].think_s) == (5.0, 3.0)
    with pytest.raises(ScriptError, match="above 0"):
        with_load([session], 0.0)


def test_a_personas_prompt_is_the_same_for_all_its_listeners() -> None:
    """And a question is nobody else's."""
    first, second = (
        Session(
            session_id=name,
            start_s=0.0,
            turns=[Turn(input_tokens=9)],
            persona="aoi",
            persona_tokens=40,
        )
        for name in "ab"
    )
    assert opening_ids(first, 4096) == opening_ids(second, 4096)
    assert turn_ids(first, 0, 4096) != turn_ids(second, 0, 4096)
    assert max(opening_ids(first, 4096)) < 4096
