"""A summary of the turns that the model is about to lose, written by the model itself.

What it reads for that is the beginning of what it has read already, up to the last turn that goes,
and one instruction behind it. So nothing but the instruction has to be computed: the rest is in the
prefix cache (docs/decisions/0019). A summary that was read before stands in that beginning, and is
taken up into the new one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.chat_template import ChatMessage
from engine.sampling_params import SamplingParams
from server.conversation.memory import Memory, about_to_go
from server.conversation.token_log import encode_turn
from server.engine_port import MarkingTokenizer

INSTRUCTION = (
    "(This is not part of the conversation.) Write down, in the language of this conversation and "
    "in at most {words} words, what has to be remembered of it: who the two are to each other, "
    "names, facts, wishes, promises, feelings, and what is still open. If a summary stands above, "
    "take over what it says. Plain sentences, in the third person; no dialogue, no tags."
)
"""Read as the user's, because every template has a place for a user's message at the end."""

TEMPERATURE = 0.3
"""Near what is likeliest; at 0 small models repeat themselves."""

_MIN_TOKENS = 16
"""A summary with less room is not worth a request."""
_SHARE_OF_ROOM = 8
"""A summary has at most one part in so many of the longest prompt."""
_TAG = re.compile(r"\[[^\[\]\s]{1,48}\]")
_BLANKS = re.compile(r"[ \t]{2,}")
_LAST_SENTENCE = re.compile(r".*[.!?。！？…」』\"]", re.DOTALL)


def summary_prompt(
    memory: Memory,
    messages: Sequence[ChatMessage],
    tokenizer: MarkingTokenizer,
    *,
    share: float,
    num_tokens: int,
    max_total_tokens: int,
    summary: str = "",
) -> list[int]:
    """Return the ids behind which the model writes the summary; empty where it cannot be.

    Args:
        memory: With the last reply.
        messages: The whole conversation, as for ``compact``.
        tokenizer: The model's.
        share: As for ``compact``.
        num_tokens: What the summary may have.
        max_total_tokens: What the context holds, summary included.
        summary: The one so far.

    Raises:
        TemplateRefused: The template does not render this.
    """
    going = about_to_go(memory, messages, share=share, summary=summary)
    if not going or num_tokens < _MIN_TOKENS:
        return []
    asked = ChatMessage("user", INSTRUCTION.format(words=max(num_tokens // 2, 10)))
    token_ids = encode_turn(memory.log, [*going, asked], tokenizer).log.token_ids
    return token_ids if len(token_ids) + num_tokens <= max_total_tokens else []


def summary_params(limit: int, room: int) -> SamplingParams:
    """How a summary is written: without the character's own sampling, tags or form.

    Args:
        limit: Tokens that it may have.
        room: Tokens of the longest prompt; in a short one the summary is shorter.
    """
    most = max(1, min(limit, room // _SHARE_OF_ROOM))
    return SamplingParams(temperature=TEMPERATURE, max_tokens=most)


def clean_summary(text: str, *, is_whole: bool) -> str:
    """Make what the model wrote fit to be read and shown; may come to nothing.

    Args:
        text: As it was sampled.
        is_whole: Whether the model ended it; otherwise an unfinished sentence at the end goes,
            unless there is nothing else.
    """
    text = _BLANKS.sub(" ", _TAG.sub("", text)).strip()
    if is_whole:
        return text
    ended = _LAST_SENTENCE.match(text)
    return ended[0] if ended else text
