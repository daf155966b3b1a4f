"""What a client may say: the eleven events of OpenAI Realtime (GA), and the extension's."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from server.protocol.items import Item
from server.protocol.objects import ResponseParams, SessionPatch


class ClientEvent(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="type"):
    """Root of the client's events.

    Attributes:
        event_id: The client's own name for the event; an error that it causes carries it back.
    """

    event_id: str | None = None


class SessionUpdate(ClientEvent, kw_only=True, tag="session.update"):
    """Change part of the configuration."""

    session: SessionPatch


class ConversationItemCreate(ClientEvent, kw_only=True, tag="conversation.item.create"):
    """Put an item into the conversation.

    Attributes:
        previous_item_id: Where: left out for the end, ``root`` for the start, an id for after it.
    """

    item: Item
    previous_item_id: str | None = None


class ConversationItemDelete(ClientEvent, kw_only=True, tag="conversation.item.delete"):
    """Take an item out of the conversation."""

    item_id: str


class ConversationItemRetrieve(ClientEvent, kw_only=True, tag="conversation.item.retrieve"):
    """Ask how the server knows an item."""

    item_id: str


class ConversationItemTruncate(ClientEvent, kw_only=True, tag="conversation.item.truncate"):
    """Keep only what was heard of an assistant's message.

    Attributes:
        audio_end_ms: The standard's measure, for audio parts; 0 beside ``text_end``.
        text_end: Our extension for text parts: how many code points were heard.
    """

    item_id: str
    content_index: int = 0
    audio_end_ms: int = 0
    text_end: int | None | UnsetType = UNSET


class ResponseCreate(ClientEvent, kw_only=True, tag="response.create"):
    """Ask for a reply."""

    response: ResponseParams | None = None


class ResponseCancel(ClientEvent, kw_only=True, tag="response.cancel"):
    """Stop a reply: this one, or the default conversation's."""

    response_id: str | None = None


class InputAudioBufferAppend(ClientEvent, kw_only=True, tag="input_audio_buffer.append"):
    """Audio; its bytes are not even kept."""


class InputAudioBufferCommit(ClientEvent, kw_only=True, tag="input_audio_buffer.commit"):
    """Audio."""


class InputAudioBufferClear(ClientEvent, kw_only=True, tag="input_audio_buffer.clear"):
    """Audio."""


class OutputAudioBufferClear(ClientEvent, kw_only=True, tag="output_audio_buffer.clear"):
    """Audio."""


class CharacterDraft(ClientEvent, kw_only=True, tag="character.draft"):
    """The user is typing: our extension. What is certain of it is read ahead; nothing is kept.

    Attributes:
        text: The whole draft so far; empty when it has been given up.
    """

    text: str


class CharacterPlayback(ClientEvent, kw_only=True, tag="character.playback"):
    """How far a reply has been read or heard: our extension.

    Attributes:
        item_id: Of the reply.
        text_end: Code points of its clean text that have been played.
        state: ``started`` and ``finished`` of a piece of it; ``interrupted`` when the user has
            stopped it there, which keeps only what was heard, as ``conversation.item.truncate``.
        segment_index: Which piece; for the client's own books.
    """

    item_id: str
    text_end: int
    state: str
    segment_index: int | None | UnsetType = UNSET


class CharacterGreet(ClientEvent, kw_only=True, tag="character.greet"):
    """Have the character say its greeting, as a reply that costs no computation: our extension.

    Attributes:
        index: Which one; left out for the session's ``greeting_index``.
        language: ``ja`` for the Japanese wording, where there is one; else ``en``.
    """

    index: int | None = None
    language: str | None = None


class CharacterTrigger(ClientEvent, kw_only=True, tag="character.trigger"):
    """Something has happened, and the character speaks of it: our extension.

    Attributes:
        name: What, in a few words: ``gift received``.
        params: Details that the model reads.
        if_active: As for ``response.create``.
    """

    name: str
    params: dict[str, Any] = {}
    if_active: str | None | UnsetType = UNSET


class CharacterContext(ClientEvent, kw_only=True, tag="character.context"):
    """Something that the character knows from now on: our extension.

    Attributes:
        key: Its name; what is sent again under it stands in the place of what was.
        text: What the model reads; empty to forget it.
        ttl_turns: For how many of the user's turns it is repeated; left out to say it once.
    """

    key: str
    text: str
    ttl_turns: int | None = None


AUDIO_EVENTS = (
    InputAudioBufferAppend,
    InputAudioBufferCommit,
    InputAudioBufferClear,
    OutputAudioBufferClear,
)

CLIENT_EVENT_TYPES: dict[str, type[ClientEvent]] = {
    str(event_type.__struct_config__.tag): event_type
    for event_type in (
        SessionUpdate,
        ConversationItemCreate,
        ConversationItemDelete,
        ConversationItemRetrieve,
        ConversationItemTruncate,
        ResponseCreate,
        ResponseCancel,
        CharacterDraft,
        CharacterPlayback,
        CharacterGreet,
        CharacterTrigger,
        CharacterContext,
        *AUDIO_EVENTS,
    )
}
