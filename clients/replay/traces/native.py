"""Kaiwa's own scripts: a session per line, with personas, thinking, barge-in and faults.

Milliseconds on disk, seconds inside. docs/replay.md has the fields.
"""

from __future__ import annotations

from typing import get_args

from clients.replay.script import READING_TOKENS_PER_S, After, Fault, ScriptError, Session, Turn
from clients.replay.token_estimate import estimated_tokens
from clients.replay.traces.fields import Note, Record, as_record, json_lines, shown

_SESSION_FIELDS = frozenset(
    {
        "session_id",
        "start_ms",
        "turns",
        "persona",
        "persona_tokens",
        "tenant",
        "priority",
        "tokens_per_s",
        "reserve_tokens",
    }
)
_TURN_FIELDS = frozenset(
    {
        "text",
        "input_length",
        "output_length",
        "think_ms",
        "after",
        "barge_in",
        "faults",
        "at_ms",
    }
)
_BARGE_IN_FIELDS = frozenset({"after_tokens", "after_ms"})
_FAULT_FIELDS = frozenset({"at_ms", "kind", "for_ms"})
_FAULTS = ("drop", "stall", "slow_read")


def parse_native(text: str, name: str, note: Note) -> list[Session]:
    """Return the sessions of a script.

    Raises:
        ScriptError: A line cannot be read, or has a field that there is not.
    """
    return [_session(record) for record in json_lines(text, name)]


def _session(record: Record) -> Session:
    turns = record.objects("turns", "turn")
    record.refuse_others(_SESSION_FIELDS)
    line = record.where.rpartition(" ")[2]
    return Session(
        session_id=record.name("session_id", f"line-{line}"),
        start_s=record.number("start_ms", 0.0) / 1e3,
        turns=[_turn(turn) for turn in turns],
        persona=record.text("persona"),
        persona_tokens=record.tokens("persona_tokens", 0),
        tenant=record.text("tenant"),
        priority=record.whole("priority", 0, least=-(2**31)),
        tokens_per_s=record.number("tokens_per_s", READING_TOKENS_PER_S, least=1e-3),
        reserve_tokens=record.tokens("reserve_tokens", 1, least=1),
    )


def _turn(record: Record) -> Turn:
    record.refuse_others(_TURN_FIELDS)
    text = record.text("text")
    after = record.fields.get("after", "read")
    if after not in get_args(After):
        raise ScriptError(
            f"{record.where}: after is {shown(after)}; it must be read, spoken, final"
        )
    barge_in_tokens, barge_in_s = _barge_in(record)
    return Turn(
        input_tokens=record.tokens("input_length", max(1, estimated_tokens(text)), least=1),
        output_tokens=record.tokens("output_length", 0) or None,
        text=text,
        think_s=record.number("think_ms", 0.0) / 1e3,
        after=after,
        barge_in_tokens=barge_in_tokens,
        barge_in_s=barge_in_s,
        faults=_faults(record),
        at_s=None if record.fields.get("at_ms") is None else record.number("at_ms") / 1e3,
    )


def _barge_in(record: Record) -> tuple[int | None, float | None]:
    value = record.fields.get("barge_in")
    if value is None:
        return None, None
    barge_in = as_record(value, f"{record.where}, barge_in")
    barge_in.refuse_others(_BARGE_IN_FIELDS)
    tokens, ms = barge_in.fields.get("after_tokens"), barge_in.fields.get("after_ms")
    if tokens is None and ms is None:
        raise ScriptError(f"{barge_in.where}: it needs after_tokens or after_ms")
    return (
        None if tokens is None else barge_in.tokens("after_tokens", least=1),
        None if ms is None else barge_in.number("after_ms") / 1e3,
    )


def _faults(record: Record) -> tuple[Fault, ...]:
    if not record.fields.get("faults"):
        return ()
    faults = []
    for fault in record.objects("faults", "fault"):
        fault.refuse_others(_FAULT_FIELDS)
        kind = fault.fields.get("kind")
        if kind not in _FAULTS:
            raise ScriptError(
                f"{fault.where}: kind is {shown(kind)}; it must be drop, stall or slow_read"
            )
        faults.append(
            Fault(
                at_s=fault.number("at_ms", 0.0) / 1e3,
                kind=kind,
                for_s=fault.number("for_ms", 0.0) / 1e3,
            )
        )
    return tuple(faults)
