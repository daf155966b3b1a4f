"""What a session wants done: plain values, in the order in which to do them."""

from __future__ import annotations

from dataclasses import dataclass

from engine.chat_template import ChatMessage
from engine.sampling_params import SamplingParams
from server.protocol.objects import TruncationSetting
from server.protocol.server_events import ServerEvent


@dataclass(frozen=True, slots=True)
class Send:
    """Write an event to the client, after those before it.

    It has no ``event_id`` yet: the writer takes one from ``Session.event_counter`` when it encodes
    the event, because it may merge deltas before.
    """

    event: ServerEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """Have the engine write a reply; its deltas go to ``Session.receive_delta``.

    The driver builds the prompt (``server.conversation.prompt``) and submits it. Where either
    fails, it calls ``Session.fail_generation``.

    Attributes:
        request_id: The response's id, unique on this server as long as session ids are.
        messages: System text first; what the model has said holds its tags.
        params: ``max_tokens`` is ``max_output_tokens``.
        max_output_tokens: ``None`` for as many as the context allows.
        truncation: What to do when the messages are longer than the context.
        cache_salt: Prefixes are shared only under the same salt.
    """

    request_id: str
    messages: list[ChatMessage]
    params: SamplingParams
    max_output_tokens: int | None
    truncation: TruncationSetting
    cache_salt: str


@dataclass(frozen=True, slots=True)
class Abort:
    """Have the engine stop writing; whatever still comes is ignored."""

    request_id: str


Effect = Send | Generate | Abort
