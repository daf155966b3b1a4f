"""What a trace is, its content tells."""

from __future__ import annotations

import pytest

from clients.replay.script import ScriptError
from clients.replay.traces.recognise import recognise


@pytest.mark.parametrize(
    ("text", "format_name"),
    [
        ('\n {"timestamp": 0, "input_length": 1, "output_length": 1, "hash_ids": []}', "Mooncake"),
        ('{"timestamp": 0, "input_length": 1, "output_length": 1}', "Mooncake"),
        ('{"chat_id": 0, "parent_chat_id": -1, "hash_ids": []}', "Bailian"),
        ("Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type", "BurstGPT"),
        ('Session ID,"Timestamp",Request tokens,Response tokens\r\n1', "BurstGPT"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n", "Azure"),
        ("TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n", "Azure"),
        ("[", "ShareGPT"),
        ('{"conversations": []}', "ShareGPT"),
        ('{"turns": [{"text": "a"}]}', "script"),
        ('{"turns": [{"text": "a", "delay": 5}]}', "aiperf multi_turn"),
        ('{"turns": [{"text": "a"}]}\n{"turns": [{"role": "user"}]}', "aiperf multi_turn"),
    ],
)  # fmt: skip
def test_every_format_is_known_by_its_first_record(text: str, format_name: str) -> None:
    """Or, of conversations, by any that only one of two can write."""
    assert recognise(text, "t").name == format_name


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense", "t begins with 'nonsense'; that is neither JSON nor the heading of a table"),
        ("a,b\n1,2", r"table of BurstGPT \(Timestamp, Request tokens, Response tokens\) or Azure"),
        ('{"a": 1, "b": 2}', "t has neither 'turns' .* in its first record, but 'a, b'"),
        ('{"a": ', "t, line 1: no JSON"),
        ("version https://git-lfs.github.com/spec/v1\nsize 5", "t is a pointer of Git LFS.*pull"),
    ],
)
def test_what_is_nothing_known_is_told_with_what_is(text: str, complaint: str) -> None:
    """And with what was found."""
    with pytest.raises(ScriptError, match=complaint):
        recognise(text, "t")
