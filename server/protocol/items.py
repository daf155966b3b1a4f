"""Conversation items as they look on the wire, in both directions."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

Role = Literal["system", "user", "assistant"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]
PartType = Literal[
    "input_text", "output_text", "text", "input_audio", "output_audio", "audio", "input_image"
]


class ContentPart(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One part of a message.

    Attributes:
        type: ``input_text`` or ``output_text`` for text; ``text`` is taken for either.
        text: Of a text part.
        transcript: Of an audio part; the words are all that this server keeps of audio.
        audio: Base64; read and thrown away.
        image_url: Of an image part.
    """

    type: PartType
    text: str | None = None
    transcript: str | None = None
    audio: str | None = None
    image_url: str | None = None


class ItemBase(msgspec.Struct, kw_only=True, tag_field="type"):
    """What every item has.

    Attributes:
        id: The client's choice is honoured; ``None`` asks the server for one.
        object: Always ``realtime.item`` from the server; ignored from a client.
        status: Ignored from a client.
    """

    id: str | None = None
    object: str | None = "realtime.item"
    status: str | None = "completed"


class MessageItem(ItemBase, kw_only=True, tag="message"):
    """Something that somebody said.

    Attributes:
        character_id: An extra field: who of a room said it.
    """

    role: Role
    content: list[ContentPart]
    character_id: str | UnsetType = UNSET


class FunctionCallItem(ItemBase, kw_only=True, tag="function_call"):
    """The model called a function."""

    name: str
    arguments: str
    call_id: str | None = None


class FunctionCallOutputItem(ItemBase, kw_only=True, tag="function_call_output"):
    """What the function returned."""

    call_id: str
    output: str


class ItemReference(msgspec.Struct, kw_only=True, tag_field="type", tag="item_reference"):
    """Points at an item of the conversation, in a response's ``input``."""

    id: str


Item = MessageItem | FunctionCallItem | FunctionCallOutputItem
InputItem = MessageItem | FunctionCallItem | FunctionCallOutputItem | ItemReference
