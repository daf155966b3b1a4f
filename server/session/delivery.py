"""How a message is performed: its words in segments, with faces, motions and the mouth's shapes.

The words themselves go out as they come. Beside them the clean text is cut into segments, which do
not depend on how the words came; a tag ends the segment before it. Order: a segment is told behind
the delta that ends it, its visemes right behind it, and a face or a motion before the words that it
belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import UNSET, UnsetType

from server.protocol.character_events import (
    CharacterExpression,
    CharacterMetrics,
    CharacterMotion,
    CharacterSegment,
    CharacterVisemes,
    ExpressionMark,
    Hold,
    event_name,
)
from server.protocol.server_events import ServerEvent
from server.speech.duration import speech_s
from server.speech.mouth import Scheme
from server.speech.segmenter import Segment, Segmenter, SegmentRules
from server.speech.visemes import visemes
from server.text.tag_rules import TagRules
from server.text.tags import ExpressionTag, MotionTag

_PERFORMED = frozenset(
    event_name(kind)
    for kind in (
        CharacterSegment,
        CharacterExpression,
        CharacterMotion,
        CharacterVisemes,
        CharacterMetrics,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """What a client gets to see of a reply beside its words.

    Attributes:
        events: Names of the extension events that it is granted.
        tags: Which tags are looked for in the words, and how the model is held to them.
        rules: How the text is cut.
        scheme: Which mouth is drawn.
        tells_faces: Whether faces that are found are told of.
    """

    events: frozenset[str] = frozenset()
    tags: TagRules = TagRules()
    rules: SegmentRules = SegmentRules()
    scheme: Scheme = "vrm1"
    tells_faces: bool = True

    @property
    def hold(self) -> Hold:
        """How long a face stays: where each segment has its own, no longer than that."""
        is_own = self.tags.mode == "enforced" and self.tags.every == "segment"
        return "segment" if is_own else "response"


@dataclass(slots=True)
class Delivery:
    """Performs one message.

    Attributes:
        show: What is told.
        response_id: The reply's.
        item_id: The message's.
        num_segments: Told so far.
        first_segment_ms: When the first was whole, since ``response.created``; ``None`` before.
        speech_s: How long a usual voice takes for what was told so far, pauses included.
    """

    show: Show
    response_id: str
    item_id: str
    num_segments: int = 0
    first_segment_ms: float | None = None
    speech_s: float = 0.0
    _face: ExpressionMark | UnsetType = UNSET
    _motion: str | UnsetType = UNSET
    _segmenter: Segmenter | None = field(init=False)

    def __post_init__(self) -> None:
        """Cut nothing where nobody would hear of it."""
        wanted = self.show.events & _PERFORMED
        self._segmenter = Segmenter(self.show.rules) if wanted else None

    def say(self, text: str, t_ms: float) -> list[ServerEvent]:
        """Take clean text that goes out now."""
        return [] if self._segmenter is None else self._tell(self._segmenter.feed(text), t_ms)

    def express(self, tag: ExpressionTag, t_ms: float) -> list[ServerEvent]:
        """Change the face, where somebody draws it."""
        if not self.show.tells_faces:
            return []
        events = self._mark(t_ms)
        self._face = ExpressionMark(name=tag.name, weight=tag.weight)
        told = CharacterExpression(
            response_id=self.response_id,
            item_id=self.item_id,
            name=tag.name,
            weight=tag.weight,
            text_offset=tag.offset,
            segment_index=self.num_segments,
            hold=self.show.hold,
            t_ms=t_ms,
        )
        return [*events, *self._granted(told)]

    def move(self, tag: MotionTag, t_ms: float) -> list[ServerEvent]:
        """Move the body."""
        events = self._mark(t_ms)
        self._motion = tag.name
        told = CharacterMotion(
            response_id=self.response_id,
            item_id=self.item_id,
            name=tag.name,
            text_offset=tag.offset,
            segment_index=self.num_segments,
            t_ms=t_ms,
        )
        return [*events, *self._granted(told)]

    def finish(self, t_ms: float) -> list[ServerEvent]:
        """Tell the rest; no more text comes."""
        return [] if self._segmenter is None else self._tell(self._segmenter.finish(), t_ms)

    def _mark(self, t_ms: float) -> list[ServerEvent]:
        return [] if self._segmenter is None else self._tell(self._segmenter.mark(), t_ms)

    def _tell(self, segments: list[Segment], t_ms: float) -> list[ServerEvent]:
        events: list[ServerEvent] = []
        for segment in segments:
            if self.first_segment_ms is None:
                self.first_segment_ms = t_ms
            told = self._describe(segment, t_ms)
            self.speech_s += told.est_speech_ms / 1000
            events += self._granted(told)
            if segment.kind == "speech":
                events += self._shape(segment, t_ms)
            self._motion = UNSET
            self.num_segments += 1
        return events

    def _describe(self, segment: Segment, t_ms: float) -> CharacterSegment:
        is_speech = segment.kind == "speech"
        return CharacterSegment(
            response_id=self.response_id,
            item_id=self.item_id,
            index=self.num_segments,
            text=segment.text,
            text_start=segment.start,
            text_end=segment.end,
            lang=segment.lang,
            kind=segment.kind,
            boundary=segment.boundary,
            expression=self._face,
            motion=self._motion,
            est_speech_ms=_ms(speech_s(segment.text, lang=segment.lang)) if is_speech else 0.0,
            t_ms=t_ms,
        )

    def _shape(self, segment: Segment, t_ms: float) -> list[ServerEvent]:
        if event_name(CharacterVisemes) not in self.show.events:
            return []
        frames = visemes(segment.text, lang=segment.lang, scheme=self.show.scheme)
        return [
            CharacterVisemes(
                response_id=self.response_id,
                item_id=self.item_id,
                segment_index=self.num_segments,
                scheme=self.show.scheme,
                frames=list(frames),
                t_ms=t_ms,
            )
        ]

    def _granted(self, event: ServerEvent) -> list[ServerEvent]:
        return [event] if event_name(type(event)) in self.show.events else []


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
