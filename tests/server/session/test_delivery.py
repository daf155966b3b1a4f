"""How a message is performed beside its words."""

from __future__ import annotations

import random
from typing import Any

from engine.request import FinishReason
from server.protocol.character_events import CharacterSegment, CharacterVisemes, event_name
from server.session.delivery import Delivery, Show
from server.text.tag_rules import TagRules
from server.text.tags import ExpressionTag, MotionTag
from tests.server.talk import V1, Event, Talk, of_type, text_of

STOP = FinishReason.STOP
MOVES = {"character": {"motions": ["wave"]}}


def perform(*texts: str, **character: Any) -> list[Event]:
    """A reply, as a client with all of the extension hears it."""
    talk = Talk(granted=V1)
    talk.say("session.update", session={"character": {"motions": ["wave"], **character}})
    talk.ask()
    sent = [event for text in texts for event in talk.write(text)]
    return sent + talk.write(finish=STOP)


def test_segments_come_to_the_text() -> None:
    """Each follows the delta that ends it, and says where it stands."""
    sent = perform("[happy] Hello there, my fri", "end. How are you?")
    segments = of_type(sent, "character.segment")
    assert "".join(segment["text"] for segment in segments) == text_of(sent)
    places = [(segment["text_start"], segment["text_end"]) for segment in segments]
    assert places == [(0, 13), (13, 24), (24, 36)]
    assert [segment["index"] for segment in segments] == list(range(len(segments)))


def test_a_face_is_told_before_its_words_and_stays() -> None:
    """The segments that follow it name it, until there is another."""
    sent = perform("[happy] Hi! ", "Nice. [sad:0.5] But no.")
    faces = of_type(sent, "character.expression")
    segments = of_type(sent, "character.segment")
    assert [(face["name"], face["weight"]) for face in faces] == [("happy", 1.0), ("sad", 0.5)]
    by_face = [segment["expression"]["name"] for segment in segments]
    assert by_face == ["happy", "happy", "sad"]
    assert faces[1]["segment_index"] == 2
    types = [event["type"] for event in sent]
    assert types.index("character.expression") < types.index("response.output_text.delta")


def test_a_motion_begins_with_one_segment() -> None:
    """The next has none."""
    sent = perform("[motion:wave] Bye! See you.")
    segments = of_type(sent, "character.segment")
    assert [segment.get("motion") for segment in segments] == ["wave", None]
    assert of_type(sent, "character.motion")[0]["segment_index"] == 0


def test_only_speech_moves_the_mouth() -> None:
    """A stage direction has a segment, but no shapes and no time."""
    sent = perform("*waves slowly* Hello!")
    kinds = {one["kind"]: one for one in of_type(sent, "character.segment")}
    assert set(kinds) == {"action", "speech"}
    assert kinds["action"]["est_speech_ms"] == 0
    assert kinds["speech"]["est_speech_ms"] > 0
    shaped = [one["segment_index"] for one in of_type(sent, "character.visemes")]
    assert shaped == [kinds["speech"]["index"]]


def test_the_mouth_is_the_clients() -> None:
    """Of the scheme that it asked for."""
    [told] = of_type(perform("Mama.", visemes={"scheme": "oculus"}), "character.visemes")
    assert told["scheme"] == "oculus"
    assert "PP" in {frame[2] for frame in told["frames"]}


def test_what_nobody_asked_for_is_not_told() -> None:
    """Only granted events come, and a client of the standard gets none."""
    talk = Talk(granted=frozenset({"character.segment"}))
    talk.ask()
    sent = talk.write("[happy] Hi! Well.") + talk.write(finish=STOP)
    extra = {event["type"] for event in sent if event["type"].startswith("character")}
    assert extra == {"character.segment"}
    talk = Talk()
    talk.ask()
    sent = talk.write("[happy] Hi! Well.") + talk.write(finish=STOP)
    assert not [event for event in sent if event["type"].startswith("character")]


def test_a_reply_that_is_cut_off_is_told_to_its_end() -> None:
    """What was shown is in segments, also when it is cancelled."""
    talk = Talk(granted=V1)
    talk.ask()
    sent = talk.write("[happy] Hello, I was ab") + talk.say("response.cancel")
    segments = of_type(sent, "character.segment")
    assert "".join(segment["text"] for segment in segments) == text_of(sent)
    assert segments[-1]["boundary"] == "final"


def test_metrics_tell_when_the_first_segment_was_whole() -> None:
    """Right before ``response.done``, and there too."""
    sent = perform("Hello. ", "And more.")
    [told] = of_type(sent, "character.metrics")
    assert told["num_segments"] == len(of_type(sent, "character.segment"))
    first = of_type(sent, "character.segment")[0]
    assert told["first_segment_ms"] == first["t_ms"]
    done = of_type(sent, "response.done")[0]
    assert done["x_metrics"]["first_segment_ms"] == first["t_ms"]


def test_performances_do_not_depend_on_how_the_words_came() -> None:
    """All but the times is the same for any pieces."""
    text = "[happy] Hello, dear friend! It costs 3.50 yen. [sad]悲しいね。*泣く*でも、"
    text += "[motion:wave]またね！"
    rng = random.Random(6)

    def told(pieces: list[str]) -> list[Event]:
        sent = perform(*pieces)
        kept = [event for event in sent if event["type"].startswith("character.")]
        drop = ("event_id", "t_ms", "first_segment_ms", "itl_ms", "total_ms", "output_tokens")
        timed = ("character.metrics", "character.state")
        return [
            {key: value for key, value in event.items() if key not in drop}
            for event in kept
            if event["type"] not in timed
        ]

    whole = told([text])
    for _ in range(30):
        cuts = sorted(rng.sample(range(1, len(text)), rng.randint(1, 12)))
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert told(pieces) == whole


def test_a_deliverys_events_stand_in_order() -> None:
    """The segment before a tag, then the tag."""
    show = Show(events=V1 | {event_name(CharacterSegment), event_name(CharacterVisemes)})
    delivery = Delivery(show, "resp_1", "item_1")
    assert delivery.say("No end", 1.0) == []
    told = delivery.express(ExpressionTag("happy", 6), 2.0)
    assert [type(event).__name__ for event in told] == ["CharacterSegment", "CharacterVisemes"]
    assert delivery.move(MotionTag("wave", 6), 3.0) == []
    assert delivery.num_segments == 1
    assert delivery.finish(4.0) == []


def test_faces_belong_to_segments_where_each_has_its_own() -> None:
    """Elsewhere to the reply."""
    each = Show(tags=TagRules(expressions=("happy",), mode="enforced", every="segment"))
    once = Show(tags=TagRules(expressions=("happy",), mode="enforced", every="reply"))
    assert (each.hold, once.hold) == ("segment", "response")


def test_who_wants_no_faces_gets_none_and_no_brackets() -> None:
    """What the model writes all the same is taken out, and it is told of no tags."""
    talk = Talk(granted=V1)
    [updated] = talk.say("session.update", session={"character": {"expressions": []}})
    assert updated["session"]["character"].get("expressions", []) == []
    talk.ask()
    assert "[happy]" not in str(talk.generates[-1].messages)
    assert talk.generates[-1].params.grammar is None
    sent = talk.write("[happy] Hello.") + talk.write(finish=STOP)
    assert text_of(sent) == "Hello."
    assert of_type(sent, "character.expression") == []
    assert "expression" not in of_type(sent, "character.segment")[0]
