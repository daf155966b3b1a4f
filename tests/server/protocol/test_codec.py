"""Frames in, events or one kind of error out."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from server.errors import ProtocolError
from server.protocol.client_events import (
    CLIENT_EVENT_TYPES,
    ConversationItemCreate,
    ResponseCancel,
    ResponseCreate,
    SessionUpdate,
)
from server.protocol.codec import (
    MAX_DEPTH,
    decode_client_event,
    decode_server_event,
    encode_client_event,
    encode_server_event,
)
from server.protocol.items import MessageItem
from server.protocol.objects import ErrorDetail, RetentionRatio
from server.protocol.server_events import ErrorEvent
from tests.server.frames import ITEM, spoilt_frame


def refuse(frame: str | bytes | dict[str, Any]) -> ProtocolError:
    """Decode what must be refused."""
    if isinstance(frame, dict):
        frame = json.dumps(frame)
    with pytest.raises(ProtocolError) as caught:
        decode_client_event(frame)
    return caught.value


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "   ",
        '{"type": "response.create"',
        '{"type": "response.create"} x',
        "{'type': 'response.create'}",
        '{"type": "response.create",}',
        '{"type": "a\nb"}',
        "[" * 100_000,
        '{"a":' * 10_000,
        b'{"type": "\xff"}',
        '\ufeff{"type": "response.create"}',
        b'\xef\xbb\xbf{"type": "response.create"}',
    ],
)
def test_what_is_not_json_is_refused(frame: str | bytes) -> None:
    """A frame that no JSON parser should take is ``invalid_json``."""
    assert refuse(frame).code == "invalid_json"


@pytest.mark.parametrize(
    "member",
    [
        '"a": NaN',
        '"a": -Infinity',
        '"a": 1e400',
        '"a": ' + "9" * 5000,
        '"a": 1, "a": 2',
        '"a": {"b": 1, "b": 2}',
        '"a": "\\ud800"',
        '"\\udc00": 1',
        '"a": ' + "[" * 40 + "]" * 40,
    ],
)
def test_json_that_not_everybody_reads_alike_is_refused_with_the_clients_id(member: str) -> None:
    """Even a structural refusal carries the event id, because clients match failures by it."""
    error = refuse('{"event_id": "e1", "type": "response.create", ' + member + "}")
    assert (error.code, error.event_id) == ("invalid_json", "e1")


def test_depth_within_the_limit_is_taken() -> None:
    """A tool's schema may be as deep as ``MAX_DEPTH`` leaves room for."""
    nested: Any = "x"
    for _ in range(MAX_DEPTH - 4):
        nested = {"a": nested}
    frame = {"type": "session.update", "session": {"tools": [{"type": "function", "p": nested}]}}
    assert isinstance(decode_client_event(json.dumps(frame)), SessionUpdate)


@pytest.mark.parametrize("frame", ["null", "1", '"text"', "[]", "true"])
def test_json_that_is_no_object_is_refused(frame: str) -> None:
    """An event is an object."""
    error = refuse(frame)
    assert error.code == "invalid_event"
    assert "JSON object" in error.message


@pytest.mark.parametrize("name", [None, 1, ["response.create"], {}])
def test_a_type_that_is_no_string_is_refused(name: object) -> None:
    """A missing or non-string type is ``invalid_event``, about ``type``."""
    error = refuse({"type": name, "event_id": "e"})
    assert (error.code, error.param, error.event_id) == ("invalid_event", "type", "e")


def test_an_unknown_type_is_refused_by_name() -> None:
    """The message shows the type, and never the words that reject somebody's pending response."""
    error = refuse({"type": "response.creat", "event_id": "e"})
    assert (error.code, error.param, error.event_id) == ("unknown_event_type", "type", "e")
    assert "'response.creat'" in error.message
    assert "response.create" not in error.message


def test_a_huge_type_is_not_repeated() -> None:
    """A message never grows with what the client sent."""
    assert len(refuse({"type": "x" * 60_000}).message) < 300


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"type": "session.update", "session": []}, "session"),
        ({"type": "session.update", "session": {"temperature": "1"}}, "session.temperature"),
        ({"type": "session.update", "session": {"temperature": True}}, "session.temperature"),
        ({"type": "session.update", "session": {"instructions": 3}}, "session.instructions"),
        ({"type": "session.update", "session": {"tools": [1]}}, "session.tools[0]"),
        ({"type": "response.create", "response": {"top_k": 1.5}}, "response.top_k"),
        ({"type": "response.create", "response": {"stop": [1]}}, "response.stop[0]"),
        ({"type": "response.create", "response": {"logit_bias": {"x": 1}}}, "response.logit_bias"),
        ({"type": "response.create", "response": {"input": [{"type": "q"}]}}, None),
        ({"type": "conversation.item.create", "item": "x"}, "item"),
        ({"type": "conversation.item.create", "item": {**ITEM, "role": "tool"}}, "item.role"),
        ({"type": "conversation.item.create", "item": {**ITEM, "type": "mcp_call"}}, "item.type"),
        ({"type": "conversation.item.create", "item": {**ITEM, "content": "x"}}, "item.content"),
        ({"type": "conversation.item.create", "item": {**ITEM, "id": 4}}, "item.id"),
        ({"type": "conversation.item.delete", "item_id": 1}, "item_id"),
        ({"type": "response.cancel", "response_id": {}}, "response_id"),
    ],
)
def test_a_wrong_field_is_refused_by_its_path(fields: dict[str, Any], param: str | None) -> None:
    """A field of the wrong type is ``invalid_value``, named by its dotted path."""
    error = refuse({**fields, "event_id": "e"})
    assert (error.code, error.event_id) == ("invalid_value", "e")
    assert param is None or error.param == param
    assert error.message.startswith(fields["type"])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"type": "session.update"}, "session"),
        ({"type": "conversation.item.create", "item": {"type": "message"}}, "item.role"),
        ({"type": "conversation.item.delete"}, "item_id"),
        ({"type": "response.create", "response": {"input": [{"type": "item_reference"}]}}, None),
    ],
)
def test_a_missing_field_is_refused_by_its_path(fields: dict[str, Any], param: str | None) -> None:
    """What an event needs and does not have is ``missing_required_parameter``."""
    error = refuse(fields)
    assert error.code == "missing_required_parameter"
    assert param is None or error.param == param


@pytest.mark.parametrize("event_id", [7, [], {"a": 1}, "x" * 513])
def test_an_event_id_that_cannot_be_used_is_refused(event_id: object) -> None:
    """A bad event id is refused, and not given back."""
    error = refuse({"type": "response.create", "event_id": event_id})
    assert (error.code, error.param, error.event_id) == ("invalid_value", "event_id", None)


def test_a_word_that_is_not_known_is_answered_with_those_that_are() -> None:
    """The way out is in the message."""
    frame = {"type": "conversation.item.create", "item": {**ITEM, "role": "tool"}}
    assert refuse(frame).message.endswith("it must be one of system, user, assistant")


def test_unknown_fields_are_ignored() -> None:
    """R4: clients send audio settings and fields of tomorrow everywhere."""
    frame = {
        "type": "session.update",
        "nonsense": 1,
        "session": {"audio": {"input": {"turn_detection": None}}, "future": [1, {}]},
    }
    assert isinstance(decode_client_event(json.dumps(frame)), SessionUpdate)


def test_the_eleven_events_and_five_more_are_known() -> None:
    """Every client event of the GA protocol is recognised, audio included, and our extension's."""
    assert sorted(CLIENT_EVENT_TYPES) == [
        "character.context",
        "character.draft",
        "character.greet",
        "character.playback",
        "character.trigger",
        "conversation.item.create",
        "conversation.item.delete",
        "conversation.item.retrieve",
        "conversation.item.truncate",
        "input_audio_buffer.append",
        "input_audio_buffer.clear",
        "input_audio_buffer.commit",
        "output_audio_buffer.clear",
        "response.cancel",
        "response.create",
        "session.update",
    ]


def test_text_survives_as_it_is() -> None:
    """Emoji, Japanese and escapes arrive as code points, from text and from bytes."""
    frame = json.dumps({"type": "conversation.item.create", "item": ITEM})
    for form in (frame, frame.encode()):
        event = decode_client_event(form)
        assert isinstance(event, ConversationItemCreate)
        assert isinstance(event.item, MessageItem)
        assert event.item.content[0].text == "やあ \N{WAVING HAND SIGN}"


def test_a_pair_of_surrogate_escapes_is_one_character() -> None:
    """Only half a pair is refused."""
    event = decode_client_event('{"type": "response.cancel", "response_id": "\\ud83d\\ude00"}')
    assert isinstance(event, ResponseCancel)
    assert event.response_id == "\N{GRINNING FACE}"


def test_truncation_is_a_word_or_an_object() -> None:
    """Both forms of the protocol are read."""
    ratio = {"type": "retention_ratio", "retention_ratio": 0.5}
    for value, expected in (("auto", "auto"), (ratio, RetentionRatio(retention_ratio=0.5))):
        frame = {"type": "session.update", "session": {"truncation": value}}
        event = decode_client_event(json.dumps(frame))
        assert isinstance(event, SessionUpdate)
        assert event.session.truncation == expected


def test_client_events_round_trip() -> None:
    """What the client package writes, the server reads."""
    event = decode_client_event('{"type":"response.create","response":{"metadata":{"a":"b"}}}')
    assert isinstance(event, ResponseCreate)
    assert decode_client_event(encode_client_event(event)) == event


def test_server_events_round_trip() -> None:
    """What the server writes, the client package reads."""
    event = ErrorEvent(error=ErrorDetail(type="t", code="c", message="m"))
    frame = encode_server_event(event, "evt_1")
    assert json.loads(frame)["event_id"] == "evt_1"
    assert decode_server_event(frame) == event


def test_a_server_event_of_tomorrow_is_passed_over() -> None:
    """A client of today does not stumble over an unknown type."""
    assert decode_server_event('{"type": "response.sung", "event_id": "e"}') is None
    with pytest.raises(ProtocolError):
        decode_server_event("[]")


@pytest.mark.slow
def test_twenty_thousand_spoilt_frames_parse_or_are_refused() -> None:
    """Whatever comes, the codec returns an event or raises ``ProtocolError`` with a short word."""
    rng = random.Random(7)
    for _ in range(20_000):
        try:
            decode_client_event(spoilt_frame(rng))
        except ProtocolError as error:
            message = error.message.encode()
            assert len(message) < 600
