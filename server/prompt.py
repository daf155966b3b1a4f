"""Fits a conversation into the context: the oldest turns go first, whole.

What always stays: the system text, and the newest user message with whatever follows it. A
greeting, the assistant's words before any user's, goes last, because the prefix cache begins with
it. Between them the conversation falls into *turns*, each a user message and what was answered, and
they go from the oldest, so that no answer stays without its question.

Tokenising is what costs time here. A conversation that fits is tokenised once. One that does not
is cut by estimate, from the lengths of its messages, and checked: most often once more, and at most
a logarithm of the number of turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.chat_template import ChatMessage
from server.engine_port import Tokenizer
from server.errors import PromptDoesNotFit
from server.protocol.objects import RetentionRatio, TruncationSetting


@dataclass(frozen=True, slots=True)
class BuiltPrompt:
    """A prompt that fits.

    Attributes:
        token_ids: With the template's opening of a reply at the end.
        num_dropped_messages: How many of the messages were left out.
    """

    token_ids: list[int]
    num_dropped_messages: int = 0


@dataclass(frozen=True, slots=True)
class _Parts:
    """A conversation, taken apart."""

    system: list[ChatMessage]
    greeting: list[ChatMessage]
    turns: list[list[ChatMessage]]
    newest: list[ChatMessage]

    @property
    def num_cuts(self) -> int:
        """How many times something can be dropped: each turn, then the greeting."""
        return len(self.turns) + bool(self.greeting)

    def cut(self, num_cuts: int) -> list[ChatMessage]:
        """What is left after so many cuts."""
        greeting = [] if num_cuts > len(self.turns) else self.greeting
        kept = [message for turn in self.turns[num_cuts:] for message in turn]
        return [*self.system, *greeting, *kept, *self.newest]


def build_prompt(
    messages: Sequence[ChatMessage],
    tokenizer: Tokenizer,
    *,
    max_prompt_tokens: int,
    truncation: TruncationSetting = "auto",
) -> BuiltPrompt:
    """Render messages to at most ``max_prompt_tokens`` tokens.

    Args:
        messages: System text first, where there is one.
        tokenizer: Of the model that will read them.
        max_prompt_tokens: What the context holds less the room for a reply.
        truncation: ``auto`` drops turns until the rest fits, a retention ratio until only that
            share of the context is used, ``disabled`` drops nothing.

    Raises:
        PromptDoesNotFit: It cannot be cut, or not enough.
    """
    token_ids = tokenizer.encode_chat(messages)
    limit = _limit_after_instructions(messages, tokenizer, max_prompt_tokens, truncation)
    if len(token_ids) <= limit:
        return BuiltPrompt(token_ids)
    if truncation == "disabled":
        raise PromptDoesNotFit(
            "the conversation and its instructions",
            len(token_ids),
            limit,
            "delete items, shorten the instructions, or set truncation to 'auto'",
        )
    target = limit
    if isinstance(truncation, RetentionRatio):
        target = min(limit, max(1, int(max_prompt_tokens * truncation.retention_ratio)))
    parts = _take_apart(messages)
    sizes = [_estimate(parts.cut(cuts), messages, len(token_ids)) for cuts in range(parts.num_cuts)]
    first_guess = next((cuts for cuts, size in enumerate(sizes) if cuts and size <= target), None)
    found = _search(parts, tokenizer, target, first_guess or parts.num_cuts)
    if found is None and target < limit:
        found = _search(parts, tokenizer, limit, parts.num_cuts)
    if found is not None:
        cuts, kept_ids = found
        return BuiltPrompt(kept_ids, len(messages) - len(parts.cut(cuts)))
    smallest = len(tokenizer.encode_chat(parts.cut(parts.num_cuts)))
    raise PromptDoesNotFit(
        "the instructions and the newest message alone",
        smallest,
        limit,
        "shorten the instructions or the message",
    )


def _search(
    parts: _Parts, tokenizer: Tokenizer, target: int, guess: int
) -> tuple[int, list[int]] | None:
    """Find a number of cuts that fits, near the guess; more cuts never make a prompt longer."""
    cuts, step = guess, 1
    while True:
        token_ids = tokenizer.encode_chat(parts.cut(cuts))
        if len(token_ids) <= target:
            return cuts, token_ids
        if cuts >= parts.num_cuts:
            return None
        cuts = min(cuts + step, parts.num_cuts)
        step *= 2


def _estimate(kept: list[ChatMessage], messages: Sequence[ChatMessage], num_tokens: int) -> int:
    """Guess the tokens of some messages from those of all, by their share of the characters."""
    share = sum(len(message.content) + 8 for message in kept)
    whole = sum(len(message.content) + 8 for message in messages)
    return num_tokens * share // whole


def _take_apart(messages: Sequence[ChatMessage]) -> _Parts:
    """Split into system text, greeting, turns and what must stay."""
    rest = list(messages)
    system: list[ChatMessage] = []
    while rest and rest[0].role == "system":
        system.append(rest.pop(0))
    starts = [index for index, message in enumerate(rest) if message.role == "user"]
    if not starts:
        # Nobody has spoken: the newest words stay, the rest is a greeting in several pieces.
        return _Parts(system, rest[:-1], [], rest[-1:])
    turns = [rest[start:end] for start, end in zip(starts, [*starts[1:], len(rest)], strict=True)]
    return _Parts(system, rest[: starts[0]], turns[:-1], turns[-1])


def _limit_after_instructions(
    messages: Sequence[ChatMessage],
    tokenizer: Tokenizer,
    max_prompt_tokens: int,
    truncation: TruncationSetting,
) -> int:
    """Lower the limit where the client bounds what follows the instructions."""
    if not isinstance(truncation, RetentionRatio) or truncation.token_limits is None:
        return max_prompt_tokens
    bound = truncation.token_limits.post_instructions
    if bound is None:
        return max_prompt_tokens
    instructions = [message.content for message in messages[:1] if message.role == "system"]
    num_system_tokens = sum(len(tokenizer.encode_plain(text)) for text in instructions)
    return min(max_prompt_tokens, num_system_tokens + bound)
