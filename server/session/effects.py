"""What a session wants done: plain values, in the order in which to do them."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from engine.chat_template import ChatMessage
from engine.sampling_params import SamplingParams
from engine.tool_dialect import Tool
from server.protocol.character_objects import ListenerSetting
from server.protocol.objects import TruncationSetting
from server.protocol.server_events import ServerEvent


class Send(msgspec.Struct, frozen=True, gc=False):
    """Write an event to the client, after those before it.

    It has no ``event_id`` yet: the writer gives it one when it writes the event, because it may
    merge deltas before.
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
        tenant: Requests of different tenants take turns.
        conversation_id: Of the conversation that is written; empty for a reply beside it, which
            neither goes on from what the conversation's model has read nor changes it.
        persona: The character's own part at the start of the system text.
        listener: How fast somebody takes the reply in; ``None`` for as fast as it comes.
        tools: What the model may call.
        begun: What is there of the reply already, tags and all; the model goes on behind it.
        summary: Read in place of turns that are left out; empty for nothing.
    """

    request_id: str
    messages: list[ChatMessage]
    params: SamplingParams
    max_output_tokens: int | None
    truncation: TruncationSetting
    cache_salt: str
    tenant: str = ""
    conversation_id: str = ""
    persona: str = ""
    listener: ListenerSetting | None = None
    tools: tuple[Tool, ...] = ()
    begun: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Abort:
    """Have the engine stop writing; whatever still comes is ignored."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Prepare:
    """Have the engine read what is certain of the next prompt; the reply is asked for later.

    Attributes:
        generate: What would be asked for now; its ``request_id`` is empty.
        draft: What the user is typing, if anything, behind those messages.
    """

    generate: Generate
    draft: str = ""


@dataclass(frozen=True, slots=True)
class Discard:
    """Give up what was prepared; the next prompt will be another."""


@dataclass(frozen=True, slots=True)
class Compact:
    """Make what the model remembers of the conversation shorter, while nobody waits for it.

    Attributes:
        generate: As for ``Prepare``; the conversation ends with a reply.
        writes_summary: Whether the model first writes a new summary, which takes up the old one
            and goes to ``Session.summarised``.
    """

    generate: Generate
    writes_summary: bool = False


@dataclass(frozen=True, slots=True)
class ReportPlayback:
    """Tell the engine how much of a reply has been read or heard.

    Attributes:
        request_id: The response's.
        num_chars: Code points of the raw text, tags included.
    """

    request_id: str
    num_chars: int


@dataclass(frozen=True, slots=True)
class Wake:
    """Call ``Session.wake`` at this time; a later wish takes the place of an earlier one.

    Attributes:
        at: Seconds on the clock of every ``now``; ``None`` for not at all.
    """

    at: float | None


Effect = Send | Generate | Abort | Prepare | Discard | Compact | ReportPlayback | Wake
