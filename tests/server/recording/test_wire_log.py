"""A line holds numbers and words of the wire; what people said only where that is asked for."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from server.config.recording import TextMode
from server.protocol.client_events import (
    CLIENT_EVENT_TYPES,
    CharacterContext,
    CharacterDraft,
    CharacterPlayback,
    CharacterTrigger,
    ClientEvent,
    ConversationItemCreate,
    ConversationItemTruncate,
    ResponseCancel,
    ResponseCreate,
    SessionUpdate,
)
from server.protocol.items import (
    ContentPart,
    FunctionCallItem,
    FunctionCallOutputItem,
    Item,
    ItemReference,
    MessageItem,
)
from server.protocol.objects import (
    ErrorDetail,
    FailureDetail,
    HeardPrefix,
    InputTokenDetails,
    ResponseObject,
    ResponseParams,
    SessionPatch,
    StatusDetails,
    Usage,
)
from server.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDeleted,
    ConversationItemTruncated,
    ErrorEvent,
    ResponseCreated,
    ResponseDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
    ServerEvent,
)
from server.recording.wire_log import SOCKET_CLOSED, WireLog

MARKER = "xylophone"
MODES: list[TextMode] = ["none", "redacted", "full"]


def make(text: TextMode = "none") -> WireLog:
    """A log."""
    return WireLog(text, b"salt")


def read(log: WireLog, event: ClientEvent | ServerEvent, ms: float = 1.0) -> dict[str, Any]:
    """The line of an event, read back."""
    note = log.received(event) if isinstance(event, ClientEvent) else log.sent(event)
    line = json.loads(log.line(note, ms))
    assert isinstance(line, dict)
    return line


def message(text: str) -> MessageItem:
    """Something that a user says."""
    return MessageItem(role="user", content=[ContentPart(type="input_text", text=text)])


def response(response_id: str = "resp_1", **fields: Any) -> ResponseObject:
    """A reply as events show it."""
    shown: dict[str, Any] = {
        "status": "completed",
        "output": [],
        "conversation_id": "conv_1",
        "output_modalities": ["text"],
        "max_output_tokens": "inf",
    }
    return ResponseObject(id=response_id, **{**shown, **fields})


def test_the_header_says_what_the_file_is() -> None:
    """Format, version, whose, since when, and by whose consent."""
    log = make("redacted")
    header = log.header(
        session_id="sess_1",
        character_id="aoi",
        started_at="2027-01-01T00:00:00.000Z",
        consent="ask",
    )
    assert json.loads(log.line(header)) == {
        "format": "kaiwa.wire_log",
        "version": 1,
        "session": "sess_1",
        "started_at": "2027-01-01T00:00:00.000Z",
        "character": "aoi",
        "consent": "ask",
        "text": "redacted",
    }


def test_a_user_item_leaves_its_length() -> None:
    """And whose it is; not its words."""
    line = read(make(), ConversationItemCreate(item=message("Good day")), 12.345)
    assert line == {
        "ms": 12.3,
        "dir": "in",
        "type": "conversation.item.create",
        "role": "user",
        "chars": 8,
    }


def test_an_item_that_is_sent_again_is_marked() -> None:
    """As long as it is in the conversation; its id is not written."""
    log = make()
    item = MessageItem(id="item_x", role="user", content=[])
    create = ConversationItemCreate(item=item)
    added = ConversationItemAdded(previous_item_id=None, item=item)
    marks = []
    for event in (create, added, create, ConversationItemDeleted(item_id="item_x"), create):
        line = read(log, event)
        marks.append(line.get("again"))
        assert "item_x" not in json.dumps(line)
    assert marks == [None, None, True, None, None]


def test_full_text_is_as_it_was_said() -> None:
    """With the client's own event id."""
    line = read(make("full"), ConversationItemCreate(event_id="e1", item=message("Good day")))
    assert (line["text"], line["event_id"]) == ("Good day", "e1")


def test_redacted_text_has_the_length_of_what_was_said() -> None:
    """Other letters, the same everywhere in the file."""
    log = make("redacted")
    first = read(log, ConversationItemCreate(item=message("Good day")))["text"]
    second = read(log, ConversationItemCreate(item=message("Good day")))["text"]
    assert first == second != "Good day"
    assert [len(word) for word in first.split()] == [4, 3]


def test_results_of_functions_leave_their_length_in_every_mode() -> None:
    """They are not what somebody said."""
    items: list[Item] = [
        FunctionCallOutputItem(call_id="c", output="12345"),
        FunctionCallItem(name="f", arguments="{}   "),
    ]
    for item in items:
        line = read(make("full"), ConversationItemCreate(item=item))
        assert line["chars"] == 5
        assert "text" not in line


def test_a_request_leaves_its_limits() -> None:
    """All that a replay asks for in its place."""
    params = ResponseParams(
        max_output_tokens=40,
        min_tokens=2,
        conversation="none",
        if_active="interrupt",
        continues="item_1",
        instructions="Be brief",
        heard=HeardPrefix(item_id="item_1", text_end=7),
        input=[message("abc"), ItemReference(id="item_1")],
    )
    line = read(make(), ResponseCreate(response=params))
    assert line == {
        "ms": 1.0,
        "dir": "in",
        "type": "response.create",
        "max_output_tokens": 40,
        "min_tokens": 2,
        "out_of_band": True,
        "if_active": "interrupt",
        "instructions_chars": 8,
        "continues": True,
        "text_end": 7,
        "chars": 3,
    }


def test_a_cancel_names_a_reply_only_while_there_is_one() -> None:
    """What else a client writes there could be anything."""
    log = make()
    cancel = ResponseCancel(response_id="resp_1")
    assert "response_id" not in read(log, cancel)
    read(log, ResponseCreated(response=response()))
    assert read(log, cancel)["response_id"] == "resp_1"
    read(log, ResponseDone(response=response()))
    assert "response_id" not in read(log, cancel)


def test_what_was_heard_is_written() -> None:
    """Positions, and states of the wire alone."""
    playback = CharacterPlayback(item_id="i", text_end=5, state="interrupted")
    line = read(make(), playback)
    assert (line["text_end"], line["state"]) == (5, "interrupted")
    strange = msgspec.structs.replace(playback, state=MARKER)
    assert "state" not in read(make(), strange)
    assert read(make(), ConversationItemTruncate(item_id="i", text_end=3))["text_end"] == 3


def test_settings_leave_lengths() -> None:
    """Instructions are words."""
    patch = SessionPatch(instructions="Be kind", max_output_tokens=9)
    line = read(make("full"), SessionUpdate(session=patch))
    assert (line["instructions_chars"], line["max_output_tokens"]) == (7, 9)
    assert "kind" not in json.dumps(line)


def test_drafts_context_and_happenings_leave_lengths_in_every_mode() -> None:
    """Half of what is typed is never said."""
    log = make("full")
    assert read(log, CharacterDraft(text="Hel"))["chars"] == 3
    assert read(log, CharacterContext(key="k", text="rain"))["chars"] == 4
    line = read(log, CharacterTrigger(name="gift", if_active="queue"))
    assert (line["chars"], line["if_active"]) == (4, "queue")


def test_a_reply_leaves_lengths_usage_and_its_end() -> None:
    """From the first event to the last."""
    log = make("full")
    begun = read(log, ResponseCreated(response=response(conversation_id=None, replayed=True)))
    assert begun["out_of_band"]
    assert begun["replayed"]
    limited = ResponseCreated(response=response(max_output_tokens=5))
    assert read(log, limited)["max_output_tokens"] == 5
    where: dict[str, Any] = {"response_id": "resp_1", "item_id": "i", "output_index": 0}
    delta = ResponseOutputTextDelta(**where, content_index=0, delta="Hel")
    assert read(log, delta) == {
        "ms": 1.0,
        "dir": "out",
        "type": "response.output_text.delta",
        "response_id": "resp_1",
        "chars": 3,
    }
    call = ResponseFunctionCallArgumentsDelta(**where, call_id="c", delta="{}")
    assert read(log, call)["chars"] == 2
    usage = Usage(
        total_tokens=15,
        input_tokens=10,
        output_tokens=5,
        input_token_details=InputTokenDetails(cached_tokens=4),
    )
    details = StatusDetails(
        type="failed",
        reason="why",
        error=FailureDetail(type="server_error", code="engine_dead", message=MARKER),
    )
    ended = response(status="failed", status_details=details, usage=usage)
    line = read(log, ResponseDone(response=ended))
    assert line["usage"] == {"prompt_tokens": 10, "cached_tokens": 4, "output_tokens": 5}
    assert (line["status"], line["reason"], line["code"]) == ("failed", "why", "engine_dead")
    assert MARKER not in json.dumps(line)


def test_errors_leave_their_code() -> None:
    """Their message may quote what the client wrote."""
    detail = ErrorDetail(type="invalid_request_error", code="invalid_value", message=MARKER)
    line = read(make("full"), ErrorEvent(error=detail))
    assert line["code"] == "invalid_value"
    assert MARKER not in json.dumps(line)


def test_other_events_leave_their_type_and_whose_reply_they_are_of() -> None:
    """An event that is new cannot bring words in."""
    log = make("full")
    item = ConversationItemAdded(previous_item_id=MARKER, item=message(MARKER))
    assert read(log, item) == {"ms": 1.0, "dir": "out", "type": "conversation.item.added"}
    done = ResponseOutputTextDone(
        response_id="resp_1", item_id="i", output_index=0, content_index=0, text=MARKER
    )
    assert read(log, done) == {
        "ms": 1.0,
        "dir": "out",
        "type": "response.output_text.done",
        "response_id": "resp_1",
    }
    cut = ConversationItemTruncated(item_id="i", content_index=0, audio_end_ms=0, text_end=4)
    assert read(log, cut)["text_end"] == 4


def test_what_befalls_the_socket_has_a_line() -> None:
    """With a reason where there is one."""
    log = make()
    assert json.loads(log.line(log.happened(SOCKET_CLOSED), 2.0)) == {
        "ms": 2.0,
        "dir": "in",
        "type": "socket.closed",
    }
    assert log.happened(SOCKET_CLOSED, "full")["reason"] == "full"


@pytest.mark.parametrize("mode", MODES)
def test_no_field_that_a_client_fills_freely_gets_in(mode: TextMode) -> None:
    """Every event of the wire, with a marker wherever there is room for one."""
    log = make(mode)
    for kind, event_type in CLIENT_EVENT_TYPES.items():
        event = _filled(kind, event_type)
        note = log.received(event)
        line = log.line(note, 1.0).decode()
        if mode != "full":
            assert MARKER not in line, kind
        else:
            note.pop("event_id")
            note.pop("text", None)
            assert MARKER not in log.line(note, 1.0).decode(), kind


def _filled(kind: str, event_type: type[ClientEvent]) -> ClientEvent:
    """An event whose every text is the marker."""
    texts = {"type": "message", "role": "user", "id": MARKER}
    item = {**texts, "content": [{"type": "input_text", "text": MARKER}]}
    fields: dict[str, Any] = {"type": kind, "event_id": MARKER}
    for field in msgspec.structs.fields(event_type):
        match field.name:
            case "item":
                fields["item"] = item
            case "session":
                fields["session"] = {"instructions": MARKER, "max_output_tokens": MARKER}
            case "response":
                names = ("instructions", "conversation", "if_active", "turn_id", "continues")
                fields["response"] = dict.fromkeys(names, MARKER) | {
                    "max_output_tokens": MARKER,
                    "metadata": {MARKER: MARKER},
                    "input": [item],
                }
            case "text_end":
                fields["text_end"] = 1
            case "params":
                fields["params"] = {MARKER: MARKER}
            case "index" | "content_index" | "audio_end_ms" | "ttl_turns" | "segment_index":
                pass
            case name:
                fields[name] = MARKER
    return msgspec.convert(fields, event_type)
