"""Fits a conversation into the context: the oldest turns go first, whole.

What always stays: the system text, and the newest user message with the newest reply to it. A
greeting, the assistant's words before any user's, goes last, because the prefix cache begins with
it; and where one message has got replies without end, the oldest of those go even after that.
Between them the conversation falls into *turns*, each a user message and what was answered, and
they go from the oldest, so that no answer stays without its question.

Where the cut falls decides what the next turn costs: a cut that moves with every turn leaves the
prefix cache nothing. A session remembers its cut (``server.conversation.memory``). Whoever does not
still finds the same one again, because cuts are only made at *marks*, which depend on the text from
the start alone: the first turn after every so many characters. The cut stays at a mark until the
context is full again. How far the marks are apart is the retention ratio's say.

Tokenising is what costs time here. What cannot fit by its characters alone is refused before it is
tokenised. A conversation that fits is tokenised once. One that does not is cut by estimate, from
the lengths of its messages, and checked: most often once more, and at most twice a logarithm of the
number of marks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import msgspec

from engine.chat_template import ChatMessage
from engine.tool_dialect import Tool
from server.engine_port import Tokenizer
from server.errors import PromptDoesNotFit
from server.protocol.objects import RetentionRatio, TruncationSetting

AUTO_RETENTION = 0.8
"""With ``auto``, about this share of the context is still in use after a cut."""
CHARACTERS_PER_TOKEN = 2
"""Between Japanese and English; it must not depend on the conversation, or marks would move."""
MAX_CHARACTERS_PER_TOKEN = 16
"""More than any text has on average; only runs of spaces or rules come near."""
TEMPLATE_CHARACTERS = 8
"""What a template writes around a message, as characters of text; only for estimates."""


MAX_REPLY_RESERVE = 512
"""Tokens of the context that a prompt leaves to a reply without a length of its own."""

Encode = Callable[[Sequence[ChatMessage]], list[int]]
"""Makes a prompt of messages."""


@dataclass(frozen=True, slots=True)
class BuiltPrompt:
    """A prompt that fits.

    Attributes:
        token_ids: With the template's opening of a reply at the end.
        num_dropped_messages: How many of the messages were left out.
    """

    token_ids: list[int]
    num_dropped_messages: int = 0


def build_prompt(
    messages: Sequence[ChatMessage],
    tokenizer: Tokenizer,
    *,
    max_prompt_tokens: int,
    truncation: TruncationSetting = "auto",
    encode: Encode | None = None,
) -> BuiltPrompt:
    """Render messages to at most ``max_prompt_tokens`` tokens.

    Args:
        messages: System text first, where there is one.
        tokenizer: Of the model that will read them.
        max_prompt_tokens: What the context holds less the room for a reply.
        truncation: ``auto`` drops turns until the rest fits; a retention ratio says how much is
            kept when something is dropped, and may bound what follows the instructions;
            ``disabled`` drops nothing.
        encode: Renders and tokenises; ``None`` takes the tokenizer's ``encode_chat``.

    Raises:
        PromptDoesNotFit: It may not be cut, or not enough.
    """
    limit = max_prompt_tokens
    encode = encode or tokenizer.encode_chat
    if truncation == "disabled":
        return _encode_whole(messages, encode, limit)
    ratio = AUTO_RETENTION
    if isinstance(truncation, RetentionRatio):
        ratio = truncation.retention_ratio
        limit = _limit_after_instructions(messages, tokenizer, limit, truncation)
    cuts = _Cuts(messages, mark_distance=int((1 - ratio) * limit * CHARACTERS_PER_TOKEN))
    return _search(cuts, encode, limit)


def num_prompt_chars(messages: Iterable[ChatMessage], tools: Iterable[Tool] = ()) -> int:
    """Characters that have to be tokenised, about; without tokenising any."""
    num_chars = 0
    for message in messages:
        num_chars += len(message.content)
        num_chars += sum(len(call.arguments) for call in message.tool_calls)
    return num_chars + sum(len(msgspec.json.encode(tool)) for tool in tools)


def room_for_prompt(context: int, reply: int, limit: int | None) -> int:
    """Return how many tokens a prompt may have.

    Args:
        context: Tokens of prompt and reply together.
        reply: What the reply wants; it never takes more than half of the context.
        limit: The operator's own bound.
    """
    most = context - max(1, min(reply, context // 2))
    return most if limit is None else min(most, limit)


def drop_oldest(messages: Sequence[ChatMessage], share: float) -> int:
    """Return how many of the oldest turns' messages must go for about a share of all to stay.

    Args:
        messages: System text first, where there is one.
        share: Of the text that is there now; what must stay stays all the same.
    """
    cuts = _Cuts(messages, mark_distance=0)
    _, _, turns, _ = take_apart(messages)
    cut = min(cuts.first_below(cuts.weight(0) * share), len(turns))
    return cuts.num_dropped(cut)


def _encode_whole(messages: Sequence[ChatMessage], encode: Encode, limit: int) -> BuiltPrompt:
    num_chars = num_prompt_chars(messages)
    length = f"{num_chars} characters"
    if num_chars <= limit * MAX_CHARACTERS_PER_TOKEN:
        token_ids = encode(messages)
        if len(token_ids) <= limit:
            return BuiltPrompt(token_ids)
        length = f"{len(token_ids)} tokens"
    raise PromptDoesNotFit(
        "the conversation and its instructions",
        length,
        limit,
        "delete items, shorten the instructions, or set truncation to 'auto'",
    )


@dataclass(frozen=True, slots=True)
class _Cut:
    """One way to shorten a conversation.

    Attributes:
        weight: Characters that it leaves.
        first_turn: The oldest that stays.
        keeps_greeting: Whether that does.
        first_reply: The oldest that stays of the replies to the newest user message.
    """

    weight: int
    first_turn: int
    keeps_greeting: bool = True
    first_reply: int = 0


class _Cuts:
    """The ways to shorten one conversation: 0 leaves all of it, the last one all it must."""

    def __init__(self, messages: Sequence[ChatMessage], *, mark_distance: int) -> None:
        self._system, self._greeting, self._turns, newest = take_apart(messages)
        self._asked, self._replies = _replies_to(newest)
        self._num_messages = len(messages)
        weight = _weigh(messages)
        self._cuts = [_Cut(weight, 0)]
        for first, dropped in _marks(self._turns, mark_distance):
            self._cuts.append(_Cut(weight - dropped, first))
        least = weight - sum(map(_weigh, self._turns)) - _weigh(self._greeting)
        if self._greeting:
            self._cuts.append(_Cut(least, len(self._turns), keeps_greeting=False))
        for first, dropped in _marks(self._replies[:-1], mark_distance):
            self._cuts.append(_Cut(least - dropped, len(self._turns), False, first))
        self.last = len(self._cuts) - 1

    def messages(self, cut: int) -> list[ChatMessage]:
        """What a cut leaves."""
        made = self._cuts[cut]
        head = [*self._system, *(self._greeting if made.keeps_greeting else ())]
        turns, replies = self._turns[made.first_turn :], self._replies[made.first_reply :]
        return [*head, *chain(*turns), *self._asked, *chain(*replies)]

    def num_dropped(self, cut: int) -> int:
        """How many messages a cut drops."""
        return self._num_messages - len(self.messages(cut))

    def first_below(self, weight: float, *, start: int = 0) -> int:
        """The first cut from ``start`` on that leaves at most so many characters, or the last."""
        for cut in range(start, self.last):
            if self._cuts[cut].weight <= weight:
                return cut
        return self.last

    def weight(self, cut: int) -> int:
        """How many characters a cut leaves."""
        return self._cuts[cut].weight


def _marks(parts: Sequence[Sequence[ChatMessage]], mark_distance: int) -> Iterator[tuple[int, int]]:
    """The first part that each cut leaves, and the characters before it."""
    dropped = mark = 0
    for index, part in enumerate(parts, start=1):
        dropped += _weigh(part)
        if dropped >= mark + mark_distance or index == len(parts):
            mark = dropped // mark_distance * mark_distance if mark_distance else dropped
            yield index, dropped


def _replies_to(
    newest: Sequence[ChatMessage],
) -> tuple[Sequence[ChatMessage], list[Sequence[ChatMessage]]]:
    """Split what must stay into the user's words and the replies; calls go with their results."""
    first = 1 if newest and newest[0].role == "user" else 0
    starts = [first]
    for index in range(first + 1, len(newest)):
        before, here = newest[index - 1], newest[index]
        is_of_its_own = here.role == before.role == "assistant"
        if is_of_its_own and not before.tool_calls and not here.tool_calls:
            starts.append(index)
    ends = [*starts[1:], len(newest)]
    return newest[:first], [newest[start:end] for start, end in zip(starts, ends, strict=True)]


def _search(cuts: _Cuts, encode: Encode, limit: int) -> BuiltPrompt:
    """Find the first cut that fits; what is far too long is not even tokenised."""
    cut = cuts.first_below(limit * MAX_CHARACTERS_PER_TOKEN)
    if cuts.weight(cut) > limit * MAX_CHARACTERS_PER_TOKEN:
        raise _rest_does_not_fit(f"{cuts.weight(cut)} characters", limit)
    too_few, found, step = cut - 1, None, 0
    while found is None or found - too_few > 1:
        token_ids = encode(cuts.messages(cut))
        if len(token_ids) <= limit:
            found, best = cut, token_ids
            cut = (too_few + found) // 2
            continue
        if cut == cuts.last:
            raise _rest_does_not_fit(f"{len(token_ids)} tokens", limit)
        too_few = cut
        if found is not None:
            cut = (too_few + found) // 2
        elif step == 0:
            share = limit / len(token_ids)
            cut = cuts.first_below(cuts.weight(cut) * share, start=cut + 1)
            step = 1
        else:
            cut, step = min(cut + step, cuts.last), step * 2
    return BuiltPrompt(best, cuts.num_dropped(found))


def _rest_does_not_fit(length: str, limit: int) -> PromptDoesNotFit:
    return PromptDoesNotFit(
        "the instructions and the newest message alone",
        length,
        limit,
        "shorten the instructions or the message",
    )


def take_apart(
    messages: Sequence[ChatMessage],
) -> tuple[list[ChatMessage], list[ChatMessage], list[list[ChatMessage]], list[ChatMessage]]:
    """Split into system text, greeting, turns and what must stay.

    A turn is a user message and what was answered; the newest, and what follows it, must stay.
    """
    rest = list(messages)
    system: list[ChatMessage] = []
    while rest and rest[0].role == "system":
        system.append(rest.pop(0))
    starts = [index for index, message in enumerate(rest) if message.role == "user"]
    if not starts:
        # Nobody has spoken: the newest words stay, the others are a greeting in several pieces.
        return system, rest[:-1], [], rest[-1:]
    turns = [rest[start:end] for start, end in zip(starts, [*starts[1:], len(rest)], strict=True)]
    return system, rest[: starts[0]], turns[:-1], turns[-1]


def _weigh(messages: Sequence[ChatMessage]) -> int:
    return sum(len(message.content) + TEMPLATE_CHARACTERS for message in messages)


def _limit_after_instructions(
    messages: Sequence[ChatMessage], tokenizer: Tokenizer, limit: int, truncation: RetentionRatio
) -> int:
    """Lower the limit where the client bounds what follows the instructions."""
    bound = truncation.token_limits.post_instructions if truncation.token_limits else None
    if bound is None:
        return limit
    instructions = [message.content for message in messages[:1] if message.role == "system"]
    num_system_tokens = sum(len(tokenizer.encode_plain(text)) for text in instructions)
    return min(limit, num_system_tokens + bound)
