"""JSON to events and back; refuses by code, never by traceback.

A client's frame is read in two steps. First as plain JSON, strictly (RFC 8259, and of I-JSON,
RFC 7493, unique names and no lone surrogates); whatever is wrong there is only noted until the
client's ``event_id`` is known, because clients match failures by it. Then into the event's type,
where unknown fields are ignored.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, get_args

import msgspec

from server.errors import ErrorCode, InvalidEvent, InvalidValue, shorten
from server.protocol.character_events import CHARACTER_EVENTS, event_name
from server.protocol.client_events import CLIENT_EVENT_TYPES, ClientEvent
from server.protocol.items import PartType, Role
from server.protocol.server_events import STANDARD_EVENTS, ServerEvent

MAX_DEPTH = 32
"""Brackets inside brackets; a tool's JSON schema is the deepest thing that clients send."""
MAX_EVENT_ID_LENGTH = 512

_MAY_BE_TOO_LARGE = re.compile(r"[0-9]{40}|[eE]\+?[0-9]{2}")
_LONE_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_VALIDATION_PATH = re.compile(r" - at (?:`key` in )?`\$\.?(.*)`$")
_SERVER_EVENT_TYPES = {event_name(kind): kind for kind in STANDARD_EVENTS + CHARACTER_EVENTS}
_encode_json = msgspec.json.Encoder().encode


def decode_client_event(text: str | bytes) -> ClientEvent:
    """Read one frame.

    Raises:
        ProtocolError: ``invalid_json``, ``invalid_event``, ``unknown_event_type``,
            ``invalid_value`` or ``missing_required_parameter``; with the client's ``event_id``
            wherever that could be read.
    """
    text = _as_text(text)
    payload, problem = _parse(text)
    if not isinstance(payload, dict):
        raise InvalidEvent(
            ErrorCode.INVALID_EVENT,
            f"an event is a JSON object, and this is {_json_name(payload)}",
        )
    event_id, id_problem = _read_event_id(payload)
    problem = problem or _find_structural_problem(payload, text)
    if problem is not None:
        raise InvalidEvent(ErrorCode.INVALID_JSON, problem, event_id=event_id)
    if id_problem is not None:
        raise InvalidValue("event_id", id_problem)
    event_type = _find_event_type(payload, event_id)
    try:
        return msgspec.convert(payload, event_type, str_keys=True)
    except msgspec.ValidationError as error:
        raise _explain(error, str(payload["type"]), event_id) from None


def encode_server_event(event: ServerEvent, event_id: str | None = None) -> bytes:
    """Write one event as UTF-8 JSON.

    Args:
        event: Changed when ``event_id`` is given.
        event_id: From the session's journal; ``None`` keeps the one the event has.
    """
    if event_id is not None:
        event.event_id = event_id
    return _encode_json(event)


def encode_client_event(event: ClientEvent) -> bytes:
    """Write one event as UTF-8 JSON, for clients."""
    return _encode_json(event)


def decode_server_event(text: str | bytes) -> ServerEvent | None:
    """Read one event of the server, for clients; ``None`` for a type this version does not know.

    Raises:
        InvalidEvent: The frame is not an event at all.
    """
    try:
        payload = msgspec.json.decode(text)
        event_type = _SERVER_EVENT_TYPES.get(payload["type"])
        return None if event_type is None else msgspec.convert(payload, event_type, str_keys=True)
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise InvalidEvent(
            ErrorCode.INVALID_EVENT, f"not an event of the server: {error}"
        ) from None


def _as_text(text: str | bytes) -> str:
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            raise InvalidEvent(
                ErrorCode.INVALID_JSON, f"the text is not UTF-8 at byte {error.start}"
            ) from None
    if text.startswith("\ufeff"):
        raise InvalidEvent(
            ErrorCode.INVALID_JSON,
            "the text begins with a byte order mark; send UTF-8 without one",
        )
    return text


def _parse(text: str) -> tuple[Any, str | None]:
    """Parse JSON; what can be read past is returned as a problem instead of raised."""
    problems: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            problems.append("a name appears twice in one object; names must be unique")
        return members

    def number(digits: str) -> float:
        value = float(digits)
        if not math.isfinite(value):
            problems.append(f"the number {shorten(digits, 40)} is too large")
        return value

    def integer(digits: str) -> int:
        if len(digits) > 40:
            problems.append(f"the number {shorten(digits, 40)} is too large")
            return 0
        return int(digits)

    def constant(name: str) -> None:
        problems.append(f"{name} is not JSON; send a number or null")

    # A hook per number is slow, and hardly a frame holds any number that needs one.
    is_suspicious = _MAY_BE_TOO_LARGE.search(text) is not None
    try:
        payload = json.loads(
            text,
            object_pairs_hook=unique,
            parse_float=number if is_suspicious else None,
            parse_int=integer if is_suspicious else None,
            parse_constant=constant,
        )
    except json.JSONDecodeError as error:
        raise InvalidEvent(
            ErrorCode.INVALID_JSON,
            f"the text is not JSON: {error.msg.lower()} at character {error.pos}",
        ) from None
    except RecursionError:
        raise InvalidEvent(ErrorCode.INVALID_JSON, _too_deep()) from None
    return payload, problems[0] if problems else None


def _read_event_id(payload: dict[str, Any]) -> tuple[str | None, str | None]:
    """The client's id, or why it cannot be used."""
    event_id = payload.get("event_id")
    if event_id is None:
        return None, None
    if not isinstance(event_id, str):
        return None, f"event_id is {_json_name(event_id)}; it must be a string"
    if len(event_id) > MAX_EVENT_ID_LENGTH:
        return None, (
            f"event_id has {len(event_id)} characters, and the limit is {MAX_EVENT_ID_LENGTH}"
        )
    return (event_id, None) if _is_encodable(event_id) else (None, None)


def _find_structural_problem(payload: dict[str, Any], text: str) -> str | None:
    """Look for too much depth and, where the text could hold some, for lone surrogates."""
    may_hold_surrogates = _LONE_SURROGATE_ESCAPE.search(text) is not None or not _is_encodable(text)
    level: list[Any] = [payload]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            strings: list[Any] = []
            if isinstance(value, dict):
                strings.extend(value)
                members = list(value.values())
            else:
                members = value
            for member in members:
                if isinstance(member, dict | list):
                    below.append(member)
                elif isinstance(member, str):
                    strings.append(member)
            if may_hold_surrogates and not all(_is_encodable(string) for string in strings):
                return "a string holds half a surrogate pair; send whole characters"
        if not below:
            return None
        level = below
    return _too_deep()


def _find_event_type(payload: dict[str, Any], event_id: str | None) -> type[ClientEvent]:
    name = payload.get("type")
    if name is None:
        raise InvalidEvent(
            ErrorCode.INVALID_EVENT,
            "the event has no type; say which event it is",
            param="type",
            event_id=event_id,
        )
    if not isinstance(name, str):
        raise InvalidEvent(
            ErrorCode.INVALID_EVENT,
            f"type is {_json_name(name)}; it must be a string",
            param="type",
            event_id=event_id,
        )
    event_type = CLIENT_EVENT_TYPES.get(name)
    if event_type is None:
        raise InvalidEvent(
            ErrorCode.UNKNOWN_EVENT_TYPE,
            f"there is no client event {shorten(name)}; "
            "see the client events of OpenAI Realtime (GA)",
            param="type",
            event_id=event_id,
        )
    return event_type


def _explain(error: msgspec.ValidationError, name: str, event_id: str | None) -> InvalidValue:
    """Say which field is wrong in the wire's words; msgspec knows it as ``$.path``."""
    message = str(error)
    found = _VALIDATION_PATH.search(message)
    path = found.group(1) if found else ""
    what = message[: found.start()] if found else message
    missing = re.match(r"Object missing required field `(.+?)`", what)
    if missing:
        param = f"{path}.{missing.group(1)}" if path else missing.group(1)
        return InvalidValue(
            param,
            f"{name}: {param} is missing",
            code=ErrorCode.MISSING_REQUIRED_PARAMETER,
            event_id=event_id,
        )
    what = what[:1].lower() + what[1:200].replace("`", "")
    if what.startswith("invalid"):
        what += _name_choices(path)
    return InvalidValue(path, f"{name}: {path or 'the event'}: {what}", event_id=event_id)


def _name_choices(path: str) -> str:
    """Say what a field that knows only some words would have taken."""
    if path.endswith("role"):
        choices: tuple[str, ...] = get_args(Role)
    elif re.search(r"content\[\d+\]\.type$", path):
        choices = get_args(PartType)
    elif path.endswith("type"):
        choices = ("message", "function_call", "function_call_output")
    else:
        return ""
    return f"; it must be one of {', '.join(choices)}"


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _json_name(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def _too_deep() -> str:
    return f"brackets are nested deeper than {MAX_DEPTH} levels; send a flatter event"
