"""Token ids that are only ever appended to: what the model has read and said of a conversation.

Rendering and tokenising the whole history for every turn gives other ids than those that the model
itself has sampled, and whatever was computed for them is lost. So the ids are kept, together with
their marked text (``engine.tokenizer``) and the *cuts*, places at which ids behind do not depend on
ids before: behind control tokens of a prompt, at its end, and between any two tokens of a reply.

The next turn is rendered as text. As far as it begins with the text that is known, the known ids
hold, up to the last cut; only what is behind is tokenised. This one rule covers all cases: the end
token that was sampled and that the template writes too, a reply that was cut to what was heard, a
template that trims replies. Where a template rewrites what was said, or the history has been
changed, the ids are kept up to the change.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from engine.chat_template import ChatMessage
from server.engine_port import MarkingTokenizer

RerenderReason = Literal["instructions", "edited", "template"]
"""Why ids that were known could not be kept: the system text is another; messages were changed,
inserted or taken out; or the template writes what was said in another way than before."""


@dataclass(frozen=True, slots=True)
class TokenLog:
    """What is known; never changed, but replaced by a longer one.

    Attributes:
        token_ids: Prompt and, once ``with_reply`` has put it there, reply.
        text: Their marked text.
        cuts: ``(length of the text before, number of tokens before)``, both ascending.
        num_prompt_tokens: How many of the ids are the prompt.
        messages: What the prompt was rendered from.
    """

    token_ids: list[int] = field(default_factory=list)
    text: str = ""
    cuts: list[tuple[int, int]] = field(default_factory=list)
    num_prompt_tokens: int = 0
    messages: list[ChatMessage] = field(default_factory=list)

    def with_reply(self, token_ids: Sequence[int], tokenizer: MarkingTokenizer) -> TokenLog:
        """Return the log with the tokens that were sampled behind its prompt."""
        if not token_ids:
            return self
        text, cuts = tokenizer.spell(token_ids)
        length, count = len(self.text), len(self.token_ids)
        return TokenLog(
            token_ids=[*self.token_ids, *token_ids],
            text=self.text + text,
            cuts=[*self.cuts, *((length + at, count + number) for at, number in cuts)],
            num_prompt_tokens=self.num_prompt_tokens,
            messages=self.messages,
        )


@dataclass(frozen=True, slots=True)
class Turn:
    """The next prompt.

    Attributes:
        log: What is known now; its ids are the prompt.
        num_kept: How many of them were known before.
        rerendered: Why not all that was known could be kept, if it could not.
    """

    log: TokenLog
    num_kept: int = 0
    rerendered: RerenderReason | None = None


def encode_turn(
    log: TokenLog,
    messages: Sequence[ChatMessage],
    tokenizer: MarkingTokenizer,
    *,
    add_generation_prompt: bool = True,
    begun: str = "",
) -> Turn:
    """Encode a conversation behind what is known of it.

    Args:
        log: With the last reply.
        messages: All of the conversation.
        tokenizer: The model's.
        add_generation_prompt: Whether to end where the assistant's reply begins.
        begun: What is there of that reply already; the model goes on behind it.

    Raises:
        TemplateRefused: The template does not render this conversation.
    """
    text = tokenizer.mark_chat(messages, add_generation_prompt=add_generation_prompt) + begun
    place = bisect.bisect_right(log.cuts, (_common_length(log.text, text), len(log.token_ids)))
    length, num_kept = log.cuts[place - 1] if place else (0, 0)
    if num_kept or begun:
        token_ids = [*log.token_ids[:num_kept], *tokenizer.encode_marked(text, length)]
    else:
        token_ids = tokenizer.encode_chat(messages, add_generation_prompt=add_generation_prompt)
    cuts = log.cuts[:place]
    fresh = tokenizer.prompt_cuts(text[length:], token_ids[num_kept:])
    cuts += ((length + at, num_kept + number) for at, number in fresh)
    if cuts[-1:] != [(len(text), len(token_ids))]:
        cuts.append((len(text), len(token_ids)))
    known = TokenLog(
        token_ids=token_ids,
        text=text,
        cuts=cuts,
        num_prompt_tokens=len(token_ids),
        messages=list(messages),
    )
    return Turn(known, num_kept, _why_rerendered(log, known.messages, num_kept))


def _why_rerendered(
    log: TokenLog, messages: Sequence[ChatMessage], num_kept: int
) -> RerenderReason | None:
    if num_kept >= log.num_prompt_tokens:
        return None
    if _system_text(log.messages) != _system_text(messages):
        return "instructions"
    before = len(log.messages)
    if list(messages[:before]) != log.messages:
        return "edited"
    if len(messages) > before and messages[before].role == "assistant":
        return "template"
    return None  # there was no reply, so that the place for it is not there any more


def _system_text(messages: Sequence[ChatMessage]) -> list[str]:
    texts = []
    for message in messages:
        if message.role != "system":
            break
        texts.append(message.content)
    return texts


def _common_length(known: str, text: str) -> int:
    """How many characters two texts have in common at their start."""
    if text.startswith(known):
        return len(known)
    low, high = 0, min(len(known), len(text))
    while low < high:
        middle = (low + high + 1) // 2
        if known[low:middle] == text[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
