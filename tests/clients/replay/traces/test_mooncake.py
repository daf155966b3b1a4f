"""Mooncake's traces: requests that share prompts by blocks of 512 tokens."""

from __future__ import annotations

import pytest

from clients.replay.prompts import turn_ids
from clients.replay.script import ScriptError
from clients.replay.traces.mooncake import parse_mooncake

TRACE = """\
{"timestamp": 27000, "input_length": 1100, "output_length": 52, "hash_ids": [46, 47, 2353]}
{"timestamp": 30000, "input_length": 1300, "output_length": 0, "hash_ids": [46, 47, 9001]}
"""


def test_prompts_are_shared_block_by_block() -> None:
    """Two requests with two equal hash ids have 1,024 tokens in common, and then none."""
    first, second = parse_mooncake(TRACE, "t", print)
    assert (first.start_s, second.start_s) == (0.0, 3.0)
    assert (first.turns[0].output_tokens, second.turns[0].input_tokens) == (52, 1300)
    ours, theirs = turn_ids(first, 0, 32_000), turn_ids(second, 0, 32_000)
    assert (len(ours), len(theirs)) == (1100, 1300)
    assert ours[:1024] == theirs[:1024]
    assert ours[1024] != theirs[1024]


def test_a_reply_of_no_tokens_is_one_of_one() -> None:
    """There is no shorter one."""
    assert parse_mooncake(TRACE, "t", print)[1].turns[0].output_tokens == 1


def test_blocks_may_be_left_out() -> None:
    """Other clients read such lines as well."""
    (session,) = parse_mooncake(
        '{"timestamp": 1.5, "input_length": 4, "output_length": 1}', "t", print
    )
    assert session.turns[0].hash_ids == ()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"hash_ids": [1], "input_length": 4, "output_length": 1}', "line 1: timestamp is None"),
        ('{"hash_ids": "x", "timestamp": 0, "input_length": 4, "output_length": 1}', "'hash_ids'"),
        ('{"hash_ids": [], "timestamp": 0, "input_length": 0, "output_length": 1}', "from 1 to"),
        ('{"hash_ids": [], "timestamp": 0, "input_length": 1}', "output_length is None"),
        ('{"timestamp": 0, "text_input": "hello", "input_length": 1}', "text_input is 'hello'; a"),
    ],
)
def test_what_cannot_be_read_is_named(line: str, complaint: str) -> None:
    """With its line and value."""
    with pytest.raises(ScriptError, match=complaint):
        parse_mooncake(line, "t", print)
