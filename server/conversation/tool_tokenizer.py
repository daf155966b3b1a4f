"""A model's tokenizer that shows certain tools in every prompt that it makes."""

from __future__ import annotations

from collections.abc import Sequence

from engine.chat_template import ChatMessage
from engine.tool_dialect import Tool, ToolDialect
from server.engine_port import MarkingTokenizer


class ToolTokenizer:
    """Stands in for the tokenizer wherever a conversation becomes a prompt."""

    def __init__(self, tokenizer: MarkingTokenizer, tools: Sequence[Tool]) -> None:
        self._tokenizer = tokenizer
        self._tools = tuple(tools)

    @property
    def tool_dialect(self) -> ToolDialect:
        """How the model writes the call of a tool."""
        return self._tokenizer.tool_dialect

    def encode_chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        tools: Sequence[Tool] = (),
        add_generation_prompt: bool = True,
    ) -> list[int]:
        """Render and encode, with the tools where none are given."""
        return self._tokenizer.encode_chat(
            messages, tools=tools or self._tools, add_generation_prompt=add_generation_prompt
        )

    def mark_chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        tools: Sequence[Tool] = (),
        add_generation_prompt: bool = True,
    ) -> str:
        """Render to marked text, with the tools where none are given."""
        return self._tokenizer.mark_chat(
            messages, tools=tools or self._tools, add_generation_prompt=add_generation_prompt
        )

    def encode_plain(self, text: str) -> list[int]:
        """As the tokenizer does."""
        return self._tokenizer.encode_plain(text)

    def encode_marked(self, text: str, begin: int = 0) -> list[int]:
        """As the tokenizer does."""
        return self._tokenizer.encode_marked(text, begin)

    def prompt_cuts(self, text: str, token_ids: Sequence[int]) -> list[tuple[int, int]]:
        """As the tokenizer does."""
        return self._tokenizer.prompt_cuts(text, token_ids)

    def spell(self, token_ids: Sequence[int]) -> tuple[str, list[tuple[int, int]]]:
        """As the tokenizer does."""
        return self._tokenizer.spell(token_ids)


def with_tools(tokenizer: MarkingTokenizer, tools: Sequence[Tool]) -> MarkingTokenizer:
    """The tokenizer for prompts in which the model reads of these tools."""
    return ToolTokenizer(tokenizer, tools) if tools else tokenizer
