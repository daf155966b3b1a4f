"""A wire log becomes the script that its people played."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clients.replay.script import Fault, ScriptError, Session
from clients.replay.traces.wire_log import is_wire_log, parse_wire_log

HEADER: dict[str, Any] = {
    "format": "kaiwa.wire_log",
    "version": 1,
    "session": "sess_1",
    "started_at": "2027-01-01T12:00:00.000Z",
    "character": "aoi",
    "consent": "ask",
    "text": "none",
}


class Tape:
    """A log that is written line by line."""

    def __init__(self, **header: Any) -> None:
        self.lines = [json.dumps({**HEADER, **header})]
        self._num_replies = 0

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines) + "\n"

    def put(self, ms: float, kind: str, *, out: bool = False, **fields: Any) -> None:
        """Write a line."""
        head = {"ms": ms, "dir": "out" if out else "in", "type": kind}
        self.lines.append(json.dumps({**head, **fields}))

    def ask(self, ms: float, chars: int = 40, *, says: str = "", **limits: Any) -> str:
        """Say something and ask for a reply, which begins; returns its id."""
        more: dict[str, Any] = {"text": says} if says else {}
        self.put(ms, "conversation.item.create", role="user", chars=len(says) or chars, **more)
        self.put(ms, "response.create", **limits)
        return self.begin(ms)

    def begin(self, ms: float, **fields: Any) -> str:
        """A reply begins."""
        self._num_replies += 1
        reply = f"resp_{self._num_replies}"
        self.put(ms, "response.created", out=True, response_id=reply, **fields)
        return reply

    def hear(self, ms: float, reply: str, chars: int) -> None:
        """A delta of a reply."""
        kind = "response.output_text.delta"
        self.put(ms, kind, out=True, response_id=reply, chars=chars)

    def end(self, ms: float, reply: str, prompt: int, output: int) -> None:
        """A reply ends."""
        usage = {"prompt_tokens": prompt, "cached_tokens": 0, "output_tokens": output}
        self.put(ms, "response.done", out=True, response_id=reply, status="completed", usage=usage)

    def read(self) -> Session:
        """The only session in it."""
        (session,) = parse_wire_log(self.text, "log", print)
        return session


def test_a_turn_has_its_lengths_and_times() -> None:
    """Tokens by usage; what stood before the first question is the persona's."""
    tape = Tape()
    reply = tape.ask(1500, chars=40)
    tape.hear(1600, reply, 80)
    tape.end(2000, reply, prompt=210, output=20)
    reply = tape.ask(5000, chars=400)
    tape.end(6000, reply, prompt=245, output=7)
    session = tape.read()
    assert (session.session_id, session.persona, session.persona_tokens) == ("sess_1", "aoi", 200)
    assert session.start_s == 1.5
    first, second = session.turns
    assert (first.input_tokens, first.output_tokens, first.text) == (10, 20, "")
    assert (second.input_tokens, second.output_tokens) == (15, 7)
    assert (second.think_s, second.after) == (3.0, "final")


def test_words_are_taken_where_there_are_some() -> None:
    """All that was said before a question belongs to it."""
    tape = Tape(text="full")
    tape.put(10, "conversation.item.create", role="user", chars=3, text="One")
    tape.end(60, tape.ask(50, says="Two"), 30, 5)
    (turn,) = tape.read().turns
    assert turn.text == "One\nTwo"


def test_a_prompt_that_tells_nothing_leaves_a_quarter_of_the_characters() -> None:
    """Old turns were dropped from it, or the reply failed before it was read."""
    tape = Tape()
    tape.end(100, tape.ask(0, chars=40), 500, 20)
    tape.end(300, tape.ask(200, chars=80), 400, 20)
    reply = tape.ask(400, chars=120)
    tape.put(500, "response.done", out=True, response_id=reply, status="failed")
    turns = tape.read().turns
    assert [turn.input_tokens for turn in turns] == [10, 20, 30]
    assert turns[2].output_tokens is None


def test_a_barge_in_comes_at_the_moment_at_which_it_came() -> None:
    """Whatever had come by then; how long the reply would have been nobody knows."""
    tape = Tape()
    reply = tape.ask(0)
    tape.hear(10, reply, 30)
    tape.put(20, "response.cancel")
    tape.hear(21, reply, 10)
    tape.end(25, reply, prompt=100, output=20)
    tape.end(50, tape.ask(30), prompt=130, output=5)
    first, second = tape.read().turns
    assert (first.barge_in_tokens, first.barge_in_s, first.output_tokens) == (None, 0.02, None)
    assert second.think_s == 0.005
    assert second.input_tokens == 10


def test_a_reply_that_was_broken_off_has_the_length_of_its_limit() -> None:
    """The client's, as the server understood it."""
    tape = Tape()
    reply = tape.ask(0, max_output_tokens=90)
    tape.hear(10, reply, 30)
    tape.put(20, "response.cancel", response_id=reply)
    tape.end(25, reply, prompt=100, output=20)
    (turn,) = tape.read().turns
    assert turn.output_tokens == 90


def test_asking_over_a_reply_is_a_barge_in() -> None:
    """``if_active``, with what was heard; the next prompt holds nothing else."""
    tape = Tape()
    first = tape.ask(0)
    tape.hear(10, first, 40)
    tape.put(20, "conversation.item.create", role="user", chars=20)
    tape.put(20, "response.create", if_active="interrupt", text_end=20)
    tape.end(21, first, prompt=100, output=40)
    second = tape.begin(21)
    tape.end(50, second, prompt=125, output=5)
    turns = tape.read().turns
    assert turns[0].barge_in_s == 0.02
    assert (turns[1].input_tokens, turns[1].think_s) == (5, 0.0)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("conversation.item.truncate", {"text_end": 10}),
        ("character.playback", {"text_end": 10, "state": "interrupted"}),
    ],
)
def test_what_was_not_heard_is_not_in_the_next_prompt(kind: str, fields: dict[str, Any]) -> None:
    """However the client says so."""
    tape = Tape()
    reply = tape.ask(0)
    tape.hear(10, reply, 40)
    tape.put(20, "response.cancel")
    tape.end(21, reply, prompt=100, output=40)
    tape.put(22, kind, **fields)
    tape.put(23, "character.playback", text_end=40, state="finished")
    tape.end(50, tape.ask(30), prompt=117, output=5)
    assert tape.read().turns[1].input_tokens == 7


def test_a_cancel_behind_the_end_interrupts_nothing() -> None:
    """It came too late."""
    tape = Tape()
    reply = tape.ask(0)
    tape.hear(10, reply, 40)
    tape.end(20, reply, prompt=100, output=40)
    tape.put(21, "response.cancel")
    (turn,) = tape.read().turns
    assert (turn.barge_in_tokens, turn.barge_in_s, turn.output_tokens) == (None, None, 40)


def test_a_socket_that_came_back_is_a_drop() -> None:
    """Of the turn that was last asked; one that is closed before a word or for good is none."""
    tape = Tape()
    tape.put(10, "socket.closed")
    tape.put(20, "socket.resumed")
    reply = tape.ask(100)
    tape.put(600, "socket.closed")
    tape.put(2100, "socket.resumed")
    tape.put(2200, "socket.resumed")
    tape.end(3000, reply, prompt=100, output=40)
    tape.put(4000, "socket.closed")
    tape.put(5000, "session.ended")
    (turn,) = tape.read().turns
    assert turn.faults == (
        Fault(at_s=0.5, kind="drop", for_s=1.5),
        Fault(at_s=2.1, kind="drop", for_s=0.0),
    )


def test_what_nobody_asked_is_no_turn() -> None:
    """Greetings, speech unasked, replies told again, responses beside the conversation."""
    tape = Tape()
    tape.put(0, "character.greet")
    tape.end(1, tape.begin(0), 0, 0)
    tape.end(3, tape.begin(2), 50, 5)
    tape.put(4, "response.create", out_of_band=True, chars=9)
    tape.end(5, tape.begin(4, out_of_band=True), 60, 5)
    tape.put(6, "response.create")
    tape.put(6, "response.created", out=True, response_id="resp_again", replayed=True)
    tape.put(8, "character.trigger", chars=8)
    tape.end(10, tape.begin(9, max_output_tokens=6), 70, 5)
    (turn,) = tape.read().turns
    assert (turn.input_tokens, turn.output_tokens) == (2, 5)


def test_a_question_that_was_refused_is_asked_with_the_next() -> None:
    """Its item is in the conversation all the same."""
    tape = Tape()
    tape.put(0, "conversation.item.create", role="user", chars=3, text="One")
    tape.put(1, "response.create")
    tape.put(1, "error", out=True, code="rate_limited")
    tape.put(2, "error", out=True, code="invalid_value")
    tape.end(60, tape.ask(50, says="Two"), 0, 5)
    (turn,) = tape.read().turns
    assert (turn.text, turn.input_tokens) == ("One\nTwo", 2)


def test_a_reply_that_never_ended_is_asked_all_the_same() -> None:
    """The log ends before it, or in the middle of a line."""
    tape = Tape()
    tape.ask(0)
    tape.ask(100)
    text = tape.text + '{"ms": 200, "di'
    (session,) = parse_wire_log(text, "log", print)
    assert [turn.think_s for turn in session.turns] == [0.0, 0.0]
    assert session.turns[0].output_tokens is None


def test_a_line_that_was_cut_off_may_stand_before_the_next_log() -> None:
    """A server was killed, and nothing ends its last line in front of the next file."""
    one, other = Tape(session="one"), Tape(session="other")
    for tape in (one, other):
        tape.end(200, tape.ask(100), 50, 5)
    other.lines[0] = json.dumps(json.loads(other.lines[0]), separators=(",", ":"))
    text = one.text + '{"ms":300,"dir":"in","type":"conversation.item.cre' + other.text
    assert {one.session_id for one in parse_wire_log(text, "logs", print)} == {"one", "other"}


def test_an_item_that_was_sent_again_is_said_once() -> None:
    """Its client had lost the answer."""
    tape = Tape()
    tape.put(0, "conversation.item.create", role="user", chars=3, text="One")
    tape.put(5, "conversation.item.create", role="user", chars=3, text="One", again=True)
    tape.put(6, "response.create")
    tape.end(60, tape.begin(7), 0, 5)
    assert tape.read().turns[0].text == "One"


def test_logs_behind_each_other_start_as_far_apart_as_they_did() -> None:
    """Those that nobody spoke in are left out."""
    late = Tape(session="late", started_at="2027-01-01T12:00:10.500Z")
    late.end(200, late.ask(100), 50, 5)
    silent = Tape(session="silent", started_at="2027-01-01T11:59:59")
    early = Tape(session="early")
    early.end(200, early.ask(100), 50, 5)
    sessions = parse_wire_log(late.text + silent.text + early.text, "logs", print)
    assert [session.session_id for session in sessions] == ["early", "late"]
    assert [session.start_s for session in sessions] == pytest.approx([1.1, 11.6])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "log is empty"),
        ('{"ms": 1}', "log, line 1: a wire log begins with"),
        ('{"format": "other"}', "log, line 1: the format is 'other'"),
        ('{"format": "kaiwa.wire_log", "version": 2}', "version 2; this reads"),
        ('{"format": "kaiwa.wire_log", "version": 1, "started_at": "noon"}', "started_at is"),
        ("{]", "log, line 1: no JSON"),
        ("[1]", "log, line 1: it must be an object"),
        (Tape().text + '{"ms": 1}\n', "log, line 2: type is None"),
        (Tape().text + '{"ms": -1, "type": "x"}\n', "log, line 2: ms is -1"),
        (Tape().text + '{"ms": true, "type": "x"}\n', "log, line 2: ms is True"),
        (Tape().text + "{]\n", "log, line 2: no JSON"),
        (
            Tape().text + '{"ms": 1, "type": "conversation.item.create", "chars": -1}\n',
            "log, line 2: chars is -1; it must be a number from 0",
        ),
        (Tape().text, "nobody asked anything"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_line(text: str, message: str) -> None:
    """With what was expected."""
    with pytest.raises(ScriptError, match="log") as caught:
        parse_wire_log(text, "log", print)
    assert message in str(caught.value)


def test_a_long_value_is_shortened() -> None:
    """An error fits on a line."""
    with pytest.raises(ScriptError) as caught:
        parse_wire_log(json.dumps({"format": "x" * 10_000}), "log", print)
    assert len(str(caught.value)) < 200


def test_a_log_is_known_by_its_first_line() -> None:
    """Whatever the file is called."""
    assert is_wire_log(HEADER)
    assert not is_wire_log({"turns": []})
