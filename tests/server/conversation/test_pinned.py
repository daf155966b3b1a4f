"""Which tokens of a prompt are a character's own."""

from __future__ import annotations

import pytest

from engine.chat_template import ChatMessage
from server.conversation.pinned import PinnedPrompts
from tests.support.tokenizers import one_of_each_kind

KINDS = one_of_each_kind()


def prompt(kind: str, system: str, text: str = "Hello") -> list[int]:
    """A first turn."""
    return KINDS[kind].encode_chat([ChatMessage("system", system), ChatMessage("user", text)])


@pytest.mark.parametrize("kind", KINDS)
def test_instructions_behind_the_persona_are_not_counted(kind: str) -> None:
    """All prompts of a character have as many, whatever its clients add."""
    pinned, persona = PinnedPrompts(), "You are Aoi, a student. You are cheerful."
    counts = {
        pinned.count(persona, prompt(kind, system), KINDS[kind])
        for system in (persona, f"{persona}\n\nTalk like a pirate.", f"{persona}\n\nX")
    }
    (count,) = counts
    assert count > 5


def test_another_prompt_has_none() -> None:
    """A client that replaces everything gains no place among the characters."""
    pinned, tokenizer = PinnedPrompts(), KINDS["chatml"]
    assert pinned.count("You are Aoi.", prompt("chatml", "Something else"), tokenizer) == 0
    assert pinned.count("", prompt("chatml", "Something else"), tokenizer) == 0
