"""The extension's block of a session: what a client sets of a character, and what it is shown."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class LocalizedText(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A text in English and, where there is one, in Japanese."""

    en: str
    ja: str | None = None


class ListenerSetting(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """How fast the user takes a reply in, so that others may be served while it has a lead.

    Attributes:
        kind: ``reading``, ``speech``, or ``none`` for a program that wants it all at once.
        rate: Characters per second; left out for a usual one.
    """

    kind: str
    rate: float | None = None


class MemorySetting(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What the model is to remember of turns that it does not read any more.

    Attributes:
        summary: Read in their place, from the next turn on; empty for nothing. Left out, it stays.
        auto: Whether the model writes the summary itself, in idle time, when the context fills.
            Left out, it stays; ``memory: null`` makes it the server's own choice again.
    """

    summary: str | None = None
    auto: bool | None = None


class TagSetting(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What becomes of the tags for faces and motions.

    Attributes:
        mode: ``enforced``: the sampler lets only declared tags through, where they belong;
            ``prompt``: the model is told of them, and what it writes is looked for; ``off``.
        every: In enforced mode, what must begin with a tag: each ``segment``, or the ``reply``.
    """

    mode: str | None = None
    every: str | None = None


class SegmentSetting(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """How replies are cut into segments; lengths are in columns, of which wide characters have two.

    Attributes:
        first_min: That the first segment needs to end at a comma.
        min: Below it a sentence joins its neighbour.
        max: Above it a sentence is cut at a comma or space.
        langs: Languages that may occur, of ``ja``, ``zh`` and ``en``.
    """

    first_min: int | None = None
    min: int | None = None
    max: int | None = None
    langs: list[str] | None = None


class VisemeSetting(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Which mouth is drawn: ``vrm1`` has five shapes, ``oculus`` fifteen."""

    scheme: str


class ProactiveSetting(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """The character speaks by itself when nobody does.

    Attributes:
        idle_ms: Silence after which it does; ``null`` for never.
        max_per_hour: Replies of that kind in any hour.
        instructions: What the model is told then; left out for a usual sentence.
    """

    idle_ms: int | None = None
    max_per_hour: int = 6
    instructions: str = ""


class CharacterPatch(msgspec.Struct, kw_only=True):
    """The extension's block of ``session.update``; left out means unchanged, ``null`` the default.

    Attributes:
        id: Another character of this server.
        card: A character card (V1, V2 or V3) as JSON; for this session alone.
        group: Ids of all who are in the room; ``response.character_id`` says who speaks.
        user_name: What ``{{user}}`` stands for.
        greeting_index: Which greeting ``character.greet`` says; 0 is the first.
        lore: Whether what the character knows comes up in the conversation.
        events: Extension events wanted, or ``character.v1`` for all; replaces the list before.
        expressions: Faces that the client can draw; ``[]`` switches them off.
        motions: Motions that it can play.
        tags: How the model is held to them.
        tag_dialect: Only ``strip`` here; other dialects are for ``/v1/chat/completions``.
        segment: How replies are cut.
        visemes: Which mouth is drawn.
        listener: How fast replies are read or heard.
        memory: Of a long conversation.
        proactive: Speech that nobody asked for.
    """

    id: str | None | UnsetType = UNSET
    card: dict[str, Any] | None | UnsetType = UNSET
    group: list[str] | None | UnsetType = UNSET
    user_name: str | None | UnsetType = UNSET
    greeting_index: int | None | UnsetType = UNSET
    lore: bool | None | UnsetType = UNSET
    events: list[str] | None | UnsetType = UNSET
    expressions: list[str] | None | UnsetType = UNSET
    motions: list[str] | None | UnsetType = UNSET
    tags: TagSetting | None | UnsetType = UNSET
    tag_dialect: str | None | UnsetType = UNSET
    segment: SegmentSetting | None | UnsetType = UNSET
    visemes: VisemeSetting | None | UnsetType = UNSET
    listener: ListenerSetting | None | UnsetType = UNSET
    memory: MemorySetting | None | UnsetType = UNSET
    proactive: ProactiveSetting | None | UnsetType = UNSET


class CharacterObject(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Who speaks, as an extra field of the session: all that a page needs to draw somebody.

    Where no character was chosen there is little more than ``events``.

    Attributes:
        greetings: How many there are to choose from.
        group: Ids of all who are in the room, where there are several.
        events: Extension events that this connection is granted, sorted.
        listener: How fast replies are taken to be read or heard.
        memory: What is read in place of turns that are left out, and who writes it.
    """

    id: str = ""
    name: LocalizedText = LocalizedText(en="")
    description: LocalizedText = LocalizedText(en="")
    greeting: LocalizedText = LocalizedText(en="")
    greetings: int = 0
    group: list[str] = []
    user_name: str = ""
    expressions: list[str] = []
    motions: list[str] = []
    tags: TagSetting | None = None
    segment: SegmentSetting | None = None
    visemes: VisemeSetting | None = None
    avatar: dict[str, str] = {}
    lore: bool | None = None
    events: list[str]
    listener: ListenerSetting | None = None
    memory: MemorySetting | None = None
    proactive: ProactiveSetting | None = None
