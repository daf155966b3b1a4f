"""What ``character.v1`` adds: events for those who draw a character and give it a voice.

They are sent only to clients that ask for them. Places in a text are counted in code points of the
reply's clean text, which is what all its ``response.output_text.delta`` come to; ``t_ms`` counts
milliseconds from ``response.created``. docs/character-v1.md explains them to front ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from server.protocol.objects import BatchSizes, Gaps
from server.protocol.server_events import ServerEvent

SegmentKind = Literal["speech", "action", "thought", "code"]
SegmentBoundary = Literal["sentence", "clause", "tag", "length", "final"]
Hold = Literal["segment", "response"]
CharacterMood = Literal["idle", "thinking", "speaking", "interrupted"]


class ExpressionMark(msgspec.Struct, kw_only=True, frozen=True):
    """The face that goes with a segment; ``weight`` is above 0 and at most 1."""

    name: str
    weight: float = 1.0


class CharacterSegment(ServerEvent, kw_only=True, tag="character.segment"):
    """A piece of the reply that a voice or an avatar can play by itself; together they are all.

    Attributes:
        index: From 0, within the item.
        lang: ``ja``, ``zh`` or ``en``.
        kind: ``speech`` is to be spoken; the others are not.
        boundary: Why it ends where it does.
        expression: The face while it is played, told before by ``character.expression``.
        motion: Begins with it.
        est_speech_ms: How long a usual voice takes for it, pauses included; 0 for what is not
            spoken.
    """

    response_id: str
    item_id: str
    index: int
    text: str
    text_start: int
    text_end: int
    lang: str
    kind: SegmentKind
    boundary: SegmentBoundary
    expression: ExpressionMark | UnsetType = UNSET
    motion: str | UnsetType = UNSET
    est_speech_ms: float
    t_ms: float


class CharacterExpression(ServerEvent, kw_only=True, tag="character.expression"):
    """The face changes; the text it goes with follows.

    Attributes:
        name: A name that the character or the client declares.
        weight: Above 0, at most 1.
        text_offset: Code points of clean text before it.
        segment_index: The segment that it begins with.
        hold: How long the face stays: ``response``, until another one or the reply's end;
            ``segment``, for as long as segments name it.
    """

    response_id: str
    item_id: str
    name: str
    weight: float
    text_offset: int
    segment_index: int
    hold: Hold = "response"
    t_ms: float


class CharacterMotion(ServerEvent, kw_only=True, tag="character.motion"):
    """The body moves, beginning with a segment."""

    response_id: str
    item_id: str
    name: str
    text_offset: int
    segment_index: int
    t_ms: float


class CharacterVisemes(ServerEvent, kw_only=True, tag="character.visemes"):
    """The mouth's shapes while a segment is spoken, worked out from its text.

    Attributes:
        scheme: ``vrm1`` (aa ih ou ee oh) or ``oculus`` (fifteen).
        unit: Times go from 0 to 1 of the segment's sound, whoever speaks it.
        frames: ``[from, to, shape, weight]``, ascending; between them the mouth is shut.
    """

    response_id: str
    item_id: str
    segment_index: int
    scheme: Literal["vrm1", "oculus"]
    unit: Literal["normalized", "ms"] = "normalized"
    frames: list[tuple[float, float, str, float]]
    basis: Literal["text", "audio"] = "text"
    t_ms: float


class CharacterState(ServerEvent, kw_only=True, tag="character.state"):
    """What the character is doing, for idle animations.

    Attributes:
        reason: ``asked``, ``words``, ``finished``, ``cancelled``, ``user``, ``failed``,
            ``proactive`` or ``trigger``.
    """

    state: CharacterMood
    reason: str
    response_id: str | UnsetType = UNSET
    item_id: str | UnsetType = UNSET


class CharacterTurn(ServerEvent, kw_only=True, tag="character.turn"):
    """In a room of several: whose turn it is."""

    response_id: str
    character_id: str
    name: str


class CharacterQueued(ServerEvent, kw_only=True, tag="character.queued"):
    """A ``response.create`` waits for the reply before it (``if_active: "queue"``).

    Attributes:
        position: 1 is next.
        reason: ``active``: another reply of this conversation is being written.
    """

    position: int
    reason: str
    client_event_id: str | None = None


class CharacterMetrics(ServerEvent, kw_only=True, tag="character.metrics"):
    """What a listener felt of one reply; ``None`` where there was nothing to measure."""

    response_id: str
    queue_ms: float | None
    prefill_ms: float | None
    ttft_ms: float | None
    first_segment_ms: float | None
    itl_ms: Gaps | None
    total_ms: float
    output_tokens: int
    cached_tokens: int
    batch: BatchSizes | None
    preemptions: int
    num_segments: int


class CharacterMemory(ServerEvent, kw_only=True, tag="character.memory"):
    """What the model remembers has changed; the items are as before.

    Attributes:
        op: ``compacted``: the oldest turns are not read any more; ``summarised``: a summary,
            which is told here, is read in their place; ``noted``: what the character knows came
            up, and stands in the conversation from now on.
        tokens_before: Tokens of the conversation as the model knew it; 0 for ``noted``.
        tokens_after: As it will know it from the next turn on; 0 for ``noted``.
        summary: Of the turns that are left out; ``session.character.memory.summary`` changes it.
        entries: Names of the lore entries that came up.
    """

    op: Literal["compacted", "summarised", "noted"]
    tokens_before: int = 0
    tokens_after: int = 0
    summary: str | UnsetType = UNSET
    entries: list[str] | UnsetType = UNSET


class CharacterSessionResumed(ServerEvent, kw_only=True, tag="character.session.resumed"):
    """The client has come back; what it may not have seen follows.

    Attributes:
        from_event_id: The last event that it has seen, as it said; ``None`` where it did not.
        replayed: How many events follow before what is new.
        gap: Whether some are lost for good.
    """

    from_event_id: str | None
    replayed: int
    gap: bool


class CharacterSessionExpiring(ServerEvent, kw_only=True, tag="character.session.expiring"):
    """The session is about to reach its maximum age."""

    in_ms: int


class CharacterSessionGoingAway(ServerEvent, kw_only=True, tag="character.session.going_away"):
    """The server is about to stop; what runs may finish, and nothing new begins.

    Attributes:
        time_left_ms: Until the socket is closed with 1012, at most.
        reason: ``restart``.
    """

    time_left_ms: int
    reason: str


CHARACTER_EVENTS: tuple[type[ServerEvent], ...] = (
    CharacterSegment,
    CharacterExpression,
    CharacterMotion,
    CharacterVisemes,
    CharacterState,
    CharacterTurn,
    CharacterQueued,
    CharacterMetrics,
    CharacterMemory,
    CharacterSessionResumed,
    CharacterSessionExpiring,
    CharacterSessionGoingAway,
)
CHARACTER_V1 = "character.v1"
"""Stands for every event of the extension where a client names those it wants."""


def event_name(kind: type[ServerEvent]) -> str:
    """The event's ``type`` on the wire."""
    return str(kind.__struct_config__.tag)


_NAMES = frozenset(event_name(kind) for kind in CHARACTER_EVENTS)


def grant_events(names: Iterable[str]) -> frozenset[str]:
    """Choose the extension events that a client asked for; unknown names are left out."""
    wanted = set(names)
    return _NAMES if CHARACTER_V1 in wanted else _NAMES & wanted


_OF_A_REPLY = (
    CharacterSegment,
    CharacterExpression,
    CharacterMotion,
    CharacterVisemes,
    CharacterMetrics,
)


def is_granted(event: ServerEvent, granted: frozenset[str]) -> bool:
    """Whether a client gets an event: all of the standard's, and those that it asks for now.

    What performs a reply was chosen when that began, and is not chosen again: half of it would be
    of no use.
    """
    name = event_name(type(event))
    return name not in _NAMES or name in granted or isinstance(event, _OF_A_REPLY)
