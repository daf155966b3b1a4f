"""How many leading tokens of a prompt are a character's own, whatever a client adds."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import commonprefix

from engine.chat_template import ChatMessage
from server.engine_port import Tokenizer

MAX_PERSONAS = 256
"""Personas whose tokens are remembered; a server has fewer characters."""


class PinnedPrompts:
    """The tokens that all prompts of a character begin with, worked out once per character."""

    def __init__(self) -> None:
        self._heads: dict[str, list[int]] = {}

    def count(self, persona: str, token_ids: Sequence[int], tokenizer: Tokenizer) -> int:
        """Count the leading tokens of a prompt that belong to the persona.

        Args:
            persona: A character's prompt; none where it is empty.
            token_ids: The prompt.
            tokenizer: The model's; always the same.
        """
        if not persona:
            return 0
        head = self._heads.get(persona)
        if head is None:
            if len(self._heads) >= MAX_PERSONAS:
                self._heads = {}
            head = self._heads[persona] = _head_of(persona, tokenizer)
        return len(head) if list(token_ids[: len(head)]) == head else 0


def _head_of(persona: str, tokenizer: Tokenizer) -> list[int]:
    """What a prompt begins with, with and without instructions after the persona."""
    alone = [ChatMessage("system", persona), ChatMessage("user", "a")]
    longer = [ChatMessage("system", f"{persona}\n\nBe kind."), ChatMessage("user", "b")]
    return list(commonprefix([tokenizer.encode_chat(alone), tokenizer.encode_chat(longer)]))
