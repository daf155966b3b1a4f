"""What a model remembers of one conversation: the tokens it has read, and what it reads no more.

A conversation that outgrows the context loses its oldest turns (``server.conversation.prompt``),
or has them replaced by a summary. Which ones is remembered here, so that the next turn leaves out
the same and goes on where the last one ended. The items that the client knows are not touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from engine.chat_template import ChatMessage
from server.conversation.prompt import BuiltPrompt, build_prompt, drop_oldest, take_apart
from server.conversation.token_log import RerenderReason, TokenLog, Turn, encode_turn
from server.engine_port import MarkingTokenizer
from server.protocol.objects import TruncationSetting

ROOMY = 0.75
"""Up to this share of its room a prompt leaves space for a message and its note."""


@dataclass(frozen=True, slots=True)
class Omission:
    """Turns that the model does not read any more.

    Attributes:
        messages: The oldest ones behind system text and greeting, in order.
        summary: Read in their place, as system text after the persona; empty for nothing.
    """

    messages: tuple[ChatMessage, ...] = ()
    summary: str = ""

    def apply(self, messages: Sequence[ChatMessage]) -> list[ChatMessage] | None:
        """Return what the model reads; ``None`` if the conversation is not the same any more.

        Of what is left out the oldest may be gone from the conversation altogether.
        """
        system, greeting, turns, newest = take_apart(messages)
        rest = [*(message for turn in turns for message in turn), *newest]
        for start in range(len(self.messages)):
            gone = list(self.messages[start:])
            if rest[: len(gone)] == gone and len(rest) > len(gone):
                left = [*system, *greeting, *rest[len(gone) :]]
                return _with_summary(left, self.summary) if self.summary else left
        return None


@dataclass(frozen=True, slots=True)
class Memory:
    """Never changed, but replaced.

    Attributes:
        log: Tokens that the model has read and said.
        omission: What it reads no more, if anything.
    """

    log: TokenLog = field(default_factory=TokenLog)
    omission: Omission | None = None

    def with_reply(self, token_ids: Sequence[int], tokenizer: MarkingTokenizer) -> Memory:
        """What is remembered once a reply has been sampled."""
        return Memory(self.log.with_reply(token_ids, tokenizer), self.omission)

    @property
    def num_tokens(self) -> int:
        """Prompt and reply."""
        return len(self.log.token_ids)

    @property
    def num_turns(self) -> int:
        """How many of the user's messages the model has read and still reads."""
        return sum(message.role == "user" for message in self.log.messages)

    def lasting_turns(self, room: int, *, num_reply_tokens: int = 0) -> int:
        """How many of the newest of them the next prompt will read too.

        All, while there is space; where the next prompt may leave turns out, all but the oldest
        that come to half of what is read, as a cut takes less (``prompt.AUTO_RETENTION``). What is
        noted there is better noted again than lost in the very turn that needs it.

        Args:
            room: Tokens that the next prompt may have.
            num_reply_tokens: Said since, and not yet in the log.
        """
        if self.num_tokens + num_reply_tokens <= ROOMY * room:
            return self.num_turns
        read = self.log.messages
        system, *_ = take_apart(read)
        said = read[len(system) :]
        left = (_length(said) - _length(system)) / 2
        count = 0
        for message in reversed(said):
            left -= len(message.content)
            if left < 0:
                break
            count += message.role == "user"
        return count


@dataclass(frozen=True, slots=True)
class Recollection:
    """The next prompt, and what is remembered once it has been read.

    Attributes:
        memory: Its log's ids are the prompt.
        rerendered: Why known ids could not be kept: ``dropped`` where turns were left out just
            now, ``summary`` where another is read in their place, otherwise as for ``Turn``;
            ``None`` where they were.
    """

    memory: Memory
    rerendered: RerenderReason | str | None = None

    @property
    def token_ids(self) -> list[int]:
        """The prompt."""
        return self.memory.log.token_ids


def recall(
    memory: Memory,
    messages: Sequence[ChatMessage],
    tokenizer: MarkingTokenizer,
    *,
    max_prompt_tokens: int,
    truncation: TruncationSetting = "auto",
    summary: str = "",
    add_generation_prompt: bool = True,
    begun: str = "",
) -> Recollection:
    """Build the next prompt behind what is remembered.

    Args:
        memory: With the last reply.
        messages: The whole conversation, system text first.
        tokenizer: The model's.
        max_prompt_tokens: What the context holds less the room for a reply.
        truncation: See ``build_prompt``.
        summary: What is read in place of what is left out; empty for nothing.
        add_generation_prompt: Whether to end where the assistant's reply begins.
        begun: See ``encode_turn``.

    Raises:
        PromptDoesNotFit: See ``build_prompt``.
        TemplateRefused: The template does not render this conversation.
    """
    omission, read = _leave_out(memory, messages, summary)
    made: list[Turn] = []

    def encode(those: Sequence[ChatMessage]) -> list[int]:
        made.append(
            encode_turn(
                memory.log,
                those,
                tokenizer,
                add_generation_prompt=add_generation_prompt,
                begun=begun,
            )
        )
        return made[-1].log.token_ids

    def build(those: Sequence[ChatMessage]) -> BuiltPrompt:
        return build_prompt(
            those,
            tokenizer,
            max_prompt_tokens=max_prompt_tokens,
            truncation=truncation,
            encode=encode,
        )

    prompt = build(read)
    num_dropped = prompt.num_dropped_messages
    if num_dropped and omission is None and summary:
        # Nothing was left out before, so that the summary has not been read yet.
        prompt = build(_with_summary(read, summary))
        num_dropped = max(num_dropped, prompt.num_dropped_messages)
    turn = next(turn for turn in made if turn.log.token_ids is prompt.token_ids)
    if num_dropped:
        omission = _with_dropped(omission, read, num_dropped, summary)
        return Recollection(Memory(turn.log, omission), "dropped" if memory.num_tokens else None)
    before = memory.omission.summary if memory.omission is not None else summary
    reason = turn.rerendered if before == summary or turn.rerendered is None else "summary"
    return Recollection(Memory(turn.log, omission), reason)


def compact(
    memory: Memory,
    messages: Sequence[ChatMessage],
    tokenizer: MarkingTokenizer,
    *,
    share: float,
    summary: str = "",
) -> Memory | None:
    """Leave the oldest turns out before the context is full.

    Args:
        memory: With the last reply.
        messages: The whole conversation, system text first, nothing unanswered.
        tokenizer: The model's.
        share: About how much of the tokens is to stay.
        summary: What is read in place of what is left out; empty for nothing.

    Returns:
        What is remembered then, as far as the next user message; ``None`` where nothing can go.

    Raises:
        TemplateRefused: The template does not render this conversation.
    """
    omission, read = _leave_out(memory, messages, summary)
    num_dropped = drop_oldest(read, share)
    if not num_dropped:
        return None
    omission = _with_dropped(omission, read, num_dropped, summary)
    left = omission.apply(messages) if omission is not None else None
    if left is None:
        return None
    log = encode_turn(TokenLog(), left, tokenizer, add_generation_prompt=False).log
    return Memory(log, omission)


def about_to_go(
    memory: Memory, messages: Sequence[ChatMessage], *, share: float, summary: str = ""
) -> list[ChatMessage]:
    """Return what a model reads that is to sum up what ``compact`` would leave out.

    It is the beginning of what has been read: system text, the summary so far, greeting, and the
    turns that would go. Empty where nothing can go. The arguments are those of ``compact``.
    """
    _, read = _leave_out(memory, messages, summary)
    num_dropped = drop_oldest(read, share)
    system, greeting, turns, _ = take_apart(read)
    going = [message for turn in turns for message in turn][:num_dropped]
    return [*system, *greeting, *going] if going else []


def _leave_out(
    memory: Memory, messages: Sequence[ChatMessage], summary: str
) -> tuple[Omission | None, list[ChatMessage]]:
    """What is still left out, and what is read, with this summary in its place."""
    if memory.omission is not None:
        omission = replace(memory.omission, summary=summary)
        read = omission.apply(messages)
        if read is not None:
            return omission, read
    return None, list(messages)


def _with_summary(messages: Sequence[ChatMessage], summary: str) -> list[ChatMessage]:
    system, _, _, _ = take_apart(messages)
    return [*system, ChatMessage("system", summary), *messages[len(system) :]]


def _with_dropped(
    omission: Omission | None, read: Sequence[ChatMessage], num_dropped: int, summary: str
) -> Omission | None:
    """Add the oldest turns of what was read so far; a lost greeting is not remembered."""
    _, _, turns, _ = take_apart(read)
    dropped = [message for turn in turns for message in turn][:num_dropped]
    if len(dropped) < num_dropped:
        return omission
    before = omission.messages if omission is not None else ()
    return Omission((*before, *dropped), summary)


def _length(messages: Sequence[ChatMessage]) -> int:
    return sum(len(message.content) for message in messages)
