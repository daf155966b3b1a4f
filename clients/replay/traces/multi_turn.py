"""aiperf's ``multi_turn``: a conversation per line, in words.

JSON lines with ``session_id`` and ``turns``; a turn has ``text`` or ``texts``, perhaps ``role``
and ``output_length``, and either ``timestamp`` (ms from the start of the run) or ``delay`` (ms
after the last reply). https://github.com/ai-dynamo/aiperf, src/aiperf/dataset/loader/multi_turn.py
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any

from clients.replay.script import ScriptError, Session, Turn
from clients.replay.token_estimate import estimated_tokens
from clients.replay.traces.fields import Note, Record, json_lines, shown, sound
from clients.replay.traces.times import from_first

_MEDIA = frozenset({"image", "images", "image_uuids", "audio", "audios", "video", "videos"})
TURN_FIELDS = _MEDIA | {"timestamp", "delay", "role", "texts", "extra", "type"}
"""What Kaiwa's own scripts do not have."""


def is_multi_turn(fields: dict[str, Any]) -> bool:
    """Whether a line says that it is aiperf's, or has turns as only aiperf writes them."""
    turns = fields.get("turns")
    if fields.get("type") == "multi_turn":
        return True
    return isinstance(turns, list) and any(
        isinstance(turn, dict) and not TURN_FIELDS.isdisjoint(turn) for turn in turns
    )


def parse_multi_turn(text: str, name: str, note: Note) -> list[Session]:
    """Return a session per ``session_id``; lines of one id are one conversation, as in aiperf.

    A leading turn of the role ``system`` becomes the persona; equal ones are shared. Images, sounds
    and films are left out.

    Raises:
        ScriptError: A line cannot be read, or somebody else than a user speaks.
    """
    conversations: dict[str, list[Record]] = defaultdict(list)
    for number, record in enumerate(json_lines(text, name), start=1):
        key = record.name("session_id") or f"session-{number}"
        conversations[key] += record.objects("turns", "turn")
    _check_times(list(conversations.values()))
    sessions = [_session(key, turns) for key, turns in conversations.items()]
    num_media = sum(
        any(turn.fields.get(key) for key in _MEDIA)
        for turns in conversations.values()
        for turn in turns
    )
    if num_media:
        note(f"{name}: images, sounds and films are left out, of {num_media} turns")
    return from_first(sessions)


def _check_times(conversations: list[list[Record]]) -> None:
    """Refuse conversations of which only some have a time: the rest would begin years away."""
    spoken = [[turn for turn in turns if not _is_system(turn)] for turns in conversations]
    begins = [turns[0] for turns in spoken if turns]
    has_times = any(_is_timed(first) for first in begins)
    for first in begins:
        if has_times and not _is_timed(first):
            raise ScriptError(
                f"{first.where}: it has no timestamp, and other conversations have; give all of "
                "them one, or none"
            )
    for late in (turn for turns in spoken for turn in turns[1:]):
        if not has_times and _is_timed(late):
            raise ScriptError(
                f"{late.where}: timestamp is {shown(late.fields['timestamp'])}, but its "
                "conversation begins without one"
            )


def _is_system(record: Record) -> bool:
    return record.text("role") == "system"


def _is_timed(record: Record) -> bool:
    return record.fields.get("timestamp") is not None


def _session(key: str, records: list[Record]) -> Session:
    persona = ""
    if _is_system(records[0]) and len(records) > 1:
        persona = _words(records[0])
        records = records[1:]
    start_ms = records[0].number("timestamp", 0.0)
    return Session(
        session_id=key,
        start_s=start_ms / 1e3,
        turns=[_turn(record, start_ms, is_first=record is records[0]) for record in records],
        persona=hashlib.blake2b(persona.encode(), digest_size=8).hexdigest() if persona else "",
        persona_tokens=estimated_tokens(persona),
        persona_text=persona,
    )


def _turn(record: Record, start_ms: float, *, is_first: bool) -> Turn:
    if record.text("role", "user") != "user":
        raise ScriptError(
            f"{record.where}: role is {shown(record.fields['role'])}; a listener only says what a "
            "user says: leave the turn out (a system turn may be the first)"
        )
    if record.fields.get("timestamp") and record.fields.get("delay"):
        raise ScriptError(f"{record.where}: it has both timestamp and delay; leave one out")
    words = _words(record)
    at_s = None
    if not is_first and _is_timed(record):
        at_s = max(0.0, record.number("timestamp") - start_ms) / 1e3
    return Turn(
        input_tokens=max(1, estimated_tokens(words)),
        output_tokens=record.tokens("output_length", 0) or None,
        text=words,
        think_s=0.0 if is_first else record.number("delay", 0.0) / 1e3,
        after="final",
        at_s=at_s,
    )


def _words(record: Record) -> str:
    """Return what a turn says; several texts stand on lines of their own."""
    texts = record.fields.get("texts")
    if texts is None:
        words = record.text("text")
    else:
        if not isinstance(texts, list):
            raise ScriptError(f"{record.where}: texts is {shown(texts)}; it must be a list")
        words = "\n".join(line for one in texts for line in _contents(one, record.where))
    if not words.strip():
        raise ScriptError(f"{record.where}: nothing is said; a turn needs text or texts")
    return words


def _contents(text: Any, where: str) -> list[str]:
    """Return one entry of ``texts``: a string, or a named list of them."""
    lines = text.get("contents") if isinstance(text, dict) else [text]
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ScriptError(
            f"{where}: texts has {shown(text)}; it must hold strings, or objects with contents"
        )
    return [sound(line) for line in lines]
