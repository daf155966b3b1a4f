"""What is lost is summed up by the model, from what it has in its cache."""

from __future__ import annotations

import pytest

from engine.chat_template import ChatMessage
from server.conversation.memory import Memory, compact, recall
from server.conversation.summary import clean_summary, summary_params, summary_prompt
from tests.support.fake_engine import FakeTokenizer

TOKENIZER = FakeTokenizer()
SYSTEM = ChatMessage("system", "persona")


def talk(count: int) -> list[ChatMessage]:
    """Questions and answers behind a persona."""
    said = [
        ChatMessage(role, f"{role[0]}{number:02d}".ljust(10, "."))
        for number in range(count)
        for role in ("user", "assistant")
    ]
    return [SYSTEM, *said]


def read(messages: list[ChatMessage]) -> Memory:
    """What a model remembers that has just written the last of them."""
    built = recall(Memory(), messages[:-1], TOKENIZER, max_prompt_tokens=10_000)
    return built.memory.with_reply([ord(c) for c in messages[-1].content], TOKENIZER)


def prompt(
    memory: Memory,
    messages: list[ChatMessage],
    summary: str = "",
    *,
    num_tokens: int = 100,
    most: int = 4000,
) -> str:
    """What the model reads to write a summary."""
    ids = summary_prompt(
        memory,
        messages,
        TOKENIZER,
        share=0.5,
        num_tokens=num_tokens,
        max_total_tokens=most,
        summary=summary,
    )
    return "".join(map(chr, ids))


def test_it_is_asked_for_behind_what_will_go() -> None:
    """The prompt is what was read, up to the last turn that goes, and an instruction."""
    messages = talk(10)
    memory = read(messages)
    text = prompt(memory, messages)
    head, _, instruction = text.rpartition("<user>")
    assert memory.log.text.startswith(head)
    small = compact(memory, messages, TOKENIZER, share=0.5)
    assert small is not None
    assert small.omission is not None
    assert head.endswith(small.omission.messages[-1].content)
    assert "at most 50 words" in instruction
    assert instruction.endswith("<assistant>")


def test_the_summary_so_far_is_part_of_what_is_read() -> None:
    """So that the new one can take it up."""
    messages = talk(20)
    small = compact(read(messages), messages, TOKENIZER, share=0.7, summary="They met.")
    assert small is not None
    text = prompt(small, messages, "They met.")
    assert text.startswith("<system>persona<system>They met.<user>u")
    assert "u00" not in text


def test_without_room_there_is_none() -> None:
    """A summary of a few words, or one behind a prompt that is too long."""
    messages = talk(10)
    assert prompt(read(messages), messages, num_tokens=8) == ""
    assert prompt(read(messages), messages, most=400) == ""


def test_where_nothing_goes_there_is_none() -> None:
    """One turn stays whole."""
    messages = talk(1)
    assert prompt(read(messages), messages) == ""


def test_its_length_is_bounded_by_the_room() -> None:
    """In a short context it is an eighth; the character's own sampling is not used."""
    assert summary_params(200, 4096).max_tokens == 200
    assert summary_params(200, 400).max_tokens == 50
    assert summary_params(200, 400).temperature == 0.3
    assert summary_params(200, 400).grammar is None


@pytest.mark.parametrize(
    ("written", "whole", "expected"),
    [
        (" [happy] Mio has a cat.\n", True, "Mio has a cat."),
        ("Mio [sad] has [wave-hand] a cat", True, "Mio has a cat"),
        ("葵は[happy]猫が好き。", True, "葵は猫が好き。"),
        ("They met [in the park] twice.", True, "They met [in the park] twice."),
        ("Mio has a cat. It is bla", False, "Mio has a cat."),
        ("猫がいる。名前は", False, "猫がいる。"),
        ("Mio has a", False, "Mio has a"),
        ("[happy] [sad]", True, ""),
        ("  \n", False, ""),
    ],
)
def test_it_is_cleaned(written: str, whole: bool, expected: str) -> None:
    """No tag and no half sentence stays; where that leaves nothing there is no summary."""
    assert clean_summary(written, is_whole=whole) == expected
