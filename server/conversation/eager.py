"""What is certain of the next prompt before it is asked for.

A user's message may be followed by another, and words that are still being typed may change at
their end. Certain are the ids that two ways to go on have in common: with the opening of a reply
and without it, with the last word of a draft and without it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from os.path import commonprefix

from engine.chat_template import ChatMessage
from server.conversation.memory import Memory, recall
from server.engine_port import MarkingTokenizer
from server.protocol.objects import TruncationSetting

_UNSTABLE_CHARACTERS = 4
"""Of a script without spaces, that may still become another word."""
_UNSTABLE_TOKENS = 2
"""At the end of a draft, where the template may write a space as the user would."""
_LAST_WORD = re.compile(r"\s*\S{1,24}\Z")


def certain_ids(
    memory: Memory,
    messages: Sequence[ChatMessage],
    tokenizer: MarkingTokenizer,
    *,
    max_prompt_tokens: int,
    truncation: TruncationSetting,
    summary: str = "",
    draft: str = "",
) -> list[int]:
    """Return the ids with which the next prompt begins in all likelihood.

    Args:
        memory: With the last reply.
        messages: The conversation so far, system text first.
        tokenizer: The model's.
        max_prompt_tokens: What the context holds less the room for a reply.
        truncation: See ``build_prompt``.
        summary: See ``recall``.
        draft: What the user is typing behind it; empty when nothing is.

    Raises:
        PromptDoesNotFit: See ``build_prompt``.
        TemplateRefused: The template does not render this conversation.
    """

    def encode(said: Sequence[ChatMessage], opens_reply: bool) -> list[int]:
        return recall(
            memory,
            said,
            tokenizer,
            max_prompt_tokens=max_prompt_tokens,
            truncation=truncation,
            summary=summary,
            add_generation_prompt=opens_reply,
        ).token_ids

    if not draft:
        return list(commonprefix([encode(messages, True), encode(messages, False)]))
    stable = stable_part(draft)
    if not stable:
        return []
    ways = [[*messages, ChatMessage("user", text)] for text in (draft, stable)]
    ids = commonprefix([encode(way, False) for way in ways])
    return list(ids[:-_UNSTABLE_TOKENS])


def stable_part(draft: str) -> str:
    """Return a draft without the word that may still be under way."""
    text = draft.rstrip()
    found = _LAST_WORD.search(text)
    if found is not None and found.start() > 0 and text.isascii():
        return text[: found.start()]
    return text[:-_UNSTABLE_CHARACTERS] if not text.isascii() else ""
