"""What a Kaiwa server says is read event by event, and lost and repeated events are seen."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from clients.load.line import ReplyEnd
from clients.load.wire_events import WireEvents


class Heard:
    """Notes what a line tells."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.ends: list[ReplyEnd] = []
        self.num_gaps = self.num_duplicates = self.num_resumes = self.num_segments = 0

    def on_text(self, text: str) -> None:
        """Note it."""
        self.texts.append(text)

    def on_first_segment(self) -> None:
        """Count it."""
        self.num_segments += 1

    def on_end(self, end: ReplyEnd) -> None:
        """Note it."""
        self.ends.append(end)

    def on_resumed(self) -> None:
        """Count it."""
        self.num_resumes += 1

    def on_disorder(self, *, num_gaps: int = 0, num_duplicates: int = 0) -> None:
        """Count it."""
        self.num_gaps += num_gaps
        self.num_duplicates += num_duplicates


class Wire:
    """A server that writes events with numbers."""

    def __init__(self) -> None:
        self.heard = Heard()
        self.events = WireEvents(self.heard)
        self.number = 0

    def say(self, name: str, *, number: int | None = None, **fields: Any) -> None:
        """Send an event with the next number, or another."""
        self.number = self.number + 1 if number is None else number
        event = {"type": name, "event_id": f"evt_abc_{self.number}", **fields}
        self.events.take(json.dumps(event))

    def greet(self, *, resumed: bool = False, gap: bool = False, replayed: int = 0) -> None:
        """Begin or go on."""
        resume = {"token": "tok", "resumed": resumed, "gap": gap, "replayed": replayed}
        self.say("session.created", session={"resume": resume})

    def delta(self, text: str, *, number: int | None = None) -> None:
        """More text."""
        self.say("response.output_text.delta", number=number, delta=text, item_id="item_1")

    def done(self, text: str, status: str = "completed", **fields: Any) -> None:
        """The end of a reply."""
        self.say("response.output_text.done", text=text)
        self.say("response.done", response={"status": status, **fields})


@pytest.fixture
def wire() -> Wire:
    """A session that has been asked something."""
    wire = Wire()
    wire.greet()
    wire.events.asked("ask-1")
    return wire


def test_a_reply_is_told_piece_by_piece_and_ends_once(wire: Wire) -> None:
    """With the target's own counts and timings."""
    wire.delta("Hello")
    wire.delta(" there.")
    wire.say("response.output_text.done", text="Hello there.")
    usage = {"input_tokens": 9, "output_tokens": 3, "input_token_details": {"cached_tokens": 4}}
    wire.say(
        "response.done",
        response={"status": "completed", "usage": usage},
        x_metrics={"ttft_ms": 12.5, "queue_ms": 1.0, "total_ms": 40.0, "itl_ms": {"p50": 2.0}},
    )
    assert wire.heard.texts == ["Hello", " there."]
    (end,) = wire.heard.ends
    assert end.finish == "stop"
    assert (end.prompt_tokens, end.cached_tokens, end.output_tokens) == (9, 4, 3)
    assert end.server_ms == {"queue": 1.0, "ttft": 12.5, "itl_p50": 2.0, "total": 40.0}
    assert not end.text_differs


@pytest.mark.parametrize(
    ("status", "finish"),
    [("completed", "stop"), ("incomplete", "length"), ("cancelled", "abort"), ("failed", "error")],
)
def test_statuses_are_told_in_the_fields_words(wire: Wire, status: str, finish: str) -> None:
    """As the engine says them."""
    wire.done("", status)
    assert wire.heard.ends[0].finish == finish


def test_a_failed_reply_names_its_code(wire: Wire) -> None:
    """The one within the details."""
    wire.done("", "failed", status_details={"error": {"code": "queue_full"}})
    assert wire.heard.ends[0].error_code == "queue_full"


def test_a_refused_question_ends_with_its_code_and_others_errors_do_not(wire: Wire) -> None:
    """An error belongs to the event that it names."""
    wire.say("error", error={"code": "other", "event_id": "something else"})
    assert wire.heard.ends == []
    wire.say("error", error={"code": "server_draining", "event_id": "ask-1"})
    assert wire.heard.ends[0].error_code == "server_draining"
    assert not wire.events.is_unheard


def test_a_question_is_unheard_until_its_reply_begins(wire: Wire) -> None:
    """And, of a session that was resumed, not before all that was missed has been told."""
    assert wire.events.is_unheard
    wire.greet(resumed=True, replayed=1)
    assert not wire.events.is_unheard
    wire.say("session.updated")
    assert wire.events.is_unheard
    wire.say("response.created", response={})
    assert not wire.events.is_unheard


def test_a_question_that_was_asked_again_may_have_been_heard(wire: Wire) -> None:
    """Then its reply goes on; any other refusal is one."""
    code = "conversation_already_has_active_response"
    wire.say("error", error={"code": code, "event_id": "ask-1-again"})
    assert wire.heard.ends == []
    wire.say("error", error={"code": "queue_full", "event_id": "ask-1-again"})
    assert wire.heard.ends[0].error_code == "queue_full"


def test_missing_numbers_are_gaps(wire: Wire) -> None:
    """Three events never came."""
    wire.delta("a")
    wire.delta("b", number=wire.number + 4)
    assert (wire.heard.num_gaps, wire.heard.num_duplicates) == (3, 0)


def test_what_came_before_is_counted_and_not_taken_twice(wire: Wire) -> None:
    """Its text is not shown again."""
    wire.delta("a")
    wire.delta("b")
    wire.delta("a", number=wire.number - 1)
    wire.delta("b")
    wire.delta("c")
    assert wire.heard.texts == ["a", "b", "c"]
    assert (wire.heard.num_gaps, wire.heard.num_duplicates) == (0, 2)


def test_a_resumed_session_goes_on_with_its_numbers(wire: Wire) -> None:
    """Nothing is missing; the reply ends on the second socket."""
    wire.delta("a")
    assert wire.events.last_event_id == f"evt_abc_{wire.number}"
    wire.events.lost()
    wire.greet(resumed=True)
    wire.delta("b")
    wire.done("ab")
    assert (wire.heard.num_resumes, wire.heard.num_gaps) == (1, 0)
    assert wire.heard.ends[0].text_differs is False


def test_a_gap_that_the_server_admits_counts(wire: Wire) -> None:
    """Even where numbers go on by one."""
    wire.events.lost()
    wire.greet(resumed=True, gap=True)
    assert wire.heard.num_gaps == 1


def test_a_new_session_begins_its_numbers_anew(wire: Wire) -> None:
    """That is no disorder."""
    wire.events.lost()
    wire.number = 0
    wire.greet()
    assert not wire.events.was_resumed
    assert (wire.heard.num_gaps, wire.heard.num_duplicates) == (0, 0)


def test_text_that_is_not_what_the_end_states_is_told(wire: Wire) -> None:
    """A delta was lost on the way."""
    wire.delta("a")
    wire.done("ab")
    assert wire.heard.ends[0].text_differs is True


def test_the_first_segment_of_speech_is_told_once(wire: Wire) -> None:
    """An action is none."""
    for kind in ("action", "speech", "speech"):
        wire.say("character.segment", kind=kind)
    assert wire.heard.num_segments == 1


def test_what_is_no_event_is_refused() -> None:
    """Whoever answers there is no such server."""
    with pytest.raises(msgspec.MsgspecError):
        WireEvents(Heard()).take("<html>")
