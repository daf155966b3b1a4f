"""BurstGPT's tables, with conversations and without."""

from __future__ import annotations

import pytest

from clients.replay.script import ScriptError
from clients.replay.traces.burstgpt import parse_burstgpt

TRACE = """\
Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
19440110.0,7,1.2,ChatGPT,472,18,490,Conversation log
19440120.0,7,0.9,ChatGPT,600,40,640,Conversation log
19440125.0,,2.0,GPT-4,1087,230,1317,API log
19440125.0,,0.1,GPT-4,10,0,10,API log
19440126.0,7,0.9,ChatGPT,50,40,90,Conversation log
"""


def test_sessions_are_conversations() -> None:
    """The second row of one brings only what is new; a shorter one begins anew."""
    notes: list[str] = []
    chat, again, single = parse_burstgpt(TRACE, "t.csv", notes.append)
    assert [(t.input_tokens, t.output_tokens, t.at_s) for t in chat.turns] == [
        (472, 18, None),
        (110, 40, 10.0),
    ]
    assert (again.session_id, again.start_s, again.turns[0].input_tokens) == ("7#2", 16.0, 50)
    assert (single.session_id, single.start_s, single.turns[0].output_tokens) == (
        "row-3",
        15.0,
        230,
    )


def test_failures_are_left_out_and_counted() -> None:
    """They would never have been answered."""
    notes: list[str] = []
    parse_burstgpt(TRACE, "t.csv", notes.append)
    assert notes == [
        "t.csv: rows without a reply are left out, 1 of them: they failed when they were traced"
    ]


def test_older_files_lack_two_columns() -> None:
    """Every row is a session there."""
    old = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    sessions = parse_burstgpt(old + "3,GPT-4,5,6,11,x\n4,GPT-4,9,6,15,x\n", "t", print)
    assert [session.start_s for session in sessions] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("x,5,6", "line 2: Timestamp is 'x'"),
        ("1,-5,6", "Request tokens is '-5'"),
        ("1,5,many", "Response tokens is 'many'"),
        ("1,5", "line 2: the heading has 3 columns"),
    ],
)
def test_what_cannot_be_read_is_named(row: str, complaint: str) -> None:
    """With its line and value."""
    with pytest.raises(ScriptError, match=complaint):
        parse_burstgpt(f"Timestamp,Request tokens,Response tokens\n{row}\n", "t", print)
