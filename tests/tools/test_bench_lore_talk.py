"""The three ways of a talk differ in where lore stands, and in nothing else."""

from __future__ import annotations

from engine.chat_template import ChatMessage
from tools.bench.lore_talk import INSTRUCTIONS, PERSONA, WAYS, Talk, Way, lorebook, visitor


def prompts(way: Way) -> list[list[ChatMessage]]:
    """Every turn's, with replies of two words."""
    talk, made = Talk(way), []
    for text in visitor():
        made.append(talk.ask(text))
        talk.answer("Just so.")
    return made


def text_of(messages: list[ChatMessage]) -> str:
    """All that the model reads."""
    return "\n".join(message.content for message in messages)


def test_frozen_prompts_only_grow() -> None:
    """Each begins with the one before; so it is without lore, and not with a rebuilt prompt."""
    grows = {}
    for way in WAYS:
        made = prompts(way)
        pairs = zip(made, made[1:], strict=False)
        grows[way] = all(long[: len(short)] == short for short, long in pairs)
    assert grows == {"off": True, "frozen": True, "rebuilt": False}


def test_what_was_just_said_is_told_of_in_both_ways() -> None:
    """A frozen note stays, a rebuilt head loses it again; without lore nobody tells."""
    otto = lorebook().entries[1].content
    told = {way: [otto in text_of(made) for made in prompts(way)] for way in WAYS}
    assert told["frozen"] == [False] + [True] * 19
    assert told["rebuilt"] == [False, True, True] + [False] * 17
    assert not any(told["off"])


def test_everybody_reads_the_character_and_the_instructions() -> None:
    """Once, the instructions at least once."""
    for way in WAYS:
        for made in prompts(way):
            assert text_of(made).count(PERSONA) == 1
            assert INSTRUCTIONS in text_of(made)


def test_several_entries_come_up_along_the_way() -> None:
    """Of forty about every third, each once."""
    told = text_of(prompts("frozen")[-1])
    counts = [told.count(entry.content) for entry in lorebook().entries[1:]]
    assert len(counts) == 40
    assert set(counts) == {0, 1}
    assert 12 <= sum(counts) <= 20
