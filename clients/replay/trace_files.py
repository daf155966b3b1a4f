"""Reads traces of load: the native script, Mooncake's JSONL and BurstGPT's CSV.

The format is recognised by what the first record holds, not by the file's name. Times become
seconds from the first record. Nothing of a trace is invented: where it has no words, the turn has
only lengths and, in Mooncake's case, the identity of shared blocks.
"""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from clients.replay.script import After, Fault, ScriptError, Session, Turn

MAX_TRACE_BYTES = 1 << 30
_CHARACTERS_PER_TOKEN = 4


def read_trace(path: Path, *, limit: int | None = None) -> list[Session]:
    """Read a file in any format that is known.

    Args:
        path: The file.
        limit: Stop after so many sessions.

    Raises:
        ScriptError: It cannot be read; the message names the line.
    """
    try:
        if path.stat().st_size > MAX_TRACE_BYTES:
            raise ScriptError(f"{path} is larger than {MAX_TRACE_BYTES} bytes; cut it first")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(f"cannot read {path}: {error}") from None
    sessions = parse_trace(text, name=path.name)
    return sessions if limit is None else sessions[:limit]


def parse_trace(text: str, *, name: str = "trace") -> list[Session]:
    """Parse a trace's text; see ``read_trace``."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        raise ScriptError(f"{name} is empty")
    if first.startswith("Timestamp,"):
        sessions = _burstgpt(text, name)
    else:
        record = _json_record(first, f"{name}, line 1")
        for key, parse in _JSONL_FORMATS.items():
            if key in record:
                sessions = parse(text, name)
                break
        else:
            raise ScriptError(
                f"{name} has neither 'turns' (a script) nor 'hash_ids' (Mooncake) in its first "
                "record, and is no BurstGPT table"
            )
    return sorted(sessions, key=lambda session: session.start_s)


def _script(text: str, name: str) -> list[Session]:
    """One session per line; milliseconds on disk, seconds inside."""
    sessions = []
    for number, record in _json_lines(text, name):
        where = f"{name}, line {number}"
        turns = record.get("turns")
        if not isinstance(turns, list) or not turns:
            raise ScriptError(f"{where}: 'turns' must be a list that is not empty")
        sessions.append(
            Session(
                session_id=str(record.get("session_id", f"line-{number}")),
                start_s=_number(record, "start_ms", where, 0.0) / 1e3,
                turns=[_turn(turn, f"{where}, turn {i + 1}") for i, turn in enumerate(turns)],
                persona=str(record.get("persona", "")),
                persona_tokens=int(_number(record, "persona_tokens", where, 0)),
                tenant=str(record.get("tenant", "")),
                priority=int(_number(record, "priority", where, 0, least=-(2**31))),
                tokens_per_s=_number(record, "tokens_per_s", where, 5.5, least=1e-3),
            )
        )
    return sessions


def _turn(record: Any, where: str) -> Turn:
    if not isinstance(record, dict):
        raise ScriptError(f"{where}: it must be an object")
    text = str(record.get("text", ""))
    estimate = max(1, len(text) // _CHARACTERS_PER_TOKEN) if text else 1
    after = record.get("after", "read")
    if after not in get_args(After):
        raise ScriptError(f"{where}: after is {after!r}; it must be read, spoken or final")
    barge_in = record.get("barge_in") or {}
    if not isinstance(barge_in, dict):
        raise ScriptError(f"{where}: barge_in must be an object with after_tokens or after_ms")
    after_tokens, after_ms = barge_in.get("after_tokens"), barge_in.get("after_ms")
    return Turn(
        input_tokens=int(_number(record, "input_length", where, estimate, least=1)),
        output_tokens=int(_number(record, "output_length", where, 0, least=0)) or None,
        text=text,
        think_s=_number(record, "think_ms", where, 0.0) / 1e3,
        after=after,
        barge_in_tokens=None
        if after_tokens is None
        else int(_number(barge_in, "after_tokens", where, 1, least=1)),
        barge_in_s=None if after_ms is None else _number(barge_in, "after_ms", where, 0.0) / 1e3,
        faults=tuple(_fault(fault, where) for fault in record.get("faults", ())),
    )


def _fault(record: Any, where: str) -> Fault:
    if not isinstance(record, dict) or record.get("kind") not in ("drop", "stall", "slow_read"):
        raise ScriptError(
            f"{where}: a fault must be an object whose kind is drop, stall, slow_read"
        )
    return Fault(
        at_s=_number(record, "at_ms", where, 0.0) / 1e3,
        kind=record["kind"],
        for_s=_number(record, "for_ms", where, 0.0) / 1e3,
    )


def _mooncake(text: str, name: str) -> list[Session]:
    """``timestamp`` (ms), ``input_length``, ``output_length``, ``hash_ids`` of 512 tokens."""
    sessions = []
    first = None
    for number, record in _json_lines(text, name):
        where = f"{name}, line {number}"
        hash_ids = record.get("hash_ids")
        if not isinstance(hash_ids, list) or not all(isinstance(i, int) for i in hash_ids):
            raise ScriptError(f"{where}: 'hash_ids' must be a list of whole numbers")
        time_s = _number(record, "timestamp", where, None) / 1e3
        first = time_s if first is None else first
        turn = Turn(
            input_tokens=int(_number(record, "input_length", where, None, least=1)),
            output_tokens=int(_number(record, "output_length", where, None, least=0)) or 1,
            hash_ids=tuple(hash_ids),
        )
        session = Session(session_id=f"request-{number}", start_s=time_s - first, turns=[turn])
        sessions.append(session)
    return sessions


def _burstgpt(text: str, name: str) -> list[Session]:
    """``Timestamp`` (s), ``Request tokens``, ``Response tokens``, and in v1.2 ``Session ID``.

    Rows with a response of 0 tokens are failures of the traced service and are left out. In a
    session the total of a row contains the rows before it, so only what was added is new.
    """
    rows: dict[str, list[tuple[float, int, int]]] = defaultdict(list)
    first: float | None = None
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), start=2):
        where = f"{name}, line {number}"
        time_s = _number(row, "Timestamp", where, None)
        first = time_s if first is None else first
        asked = int(_number(row, "Request tokens", where, None))
        answered = int(_number(row, "Response tokens", where, None))
        if answered > 0 and asked > 0:
            key = row.get("Session ID") or f"row-{number}"
            rows[key].append((time_s - first, asked, answered))
    sessions = []
    for key, turns in rows.items():
        history = 0
        scripted = []
        previous_s = turns[0][0]
        for time_s, asked, answered in turns:
            new = asked - history if 0 < history < asked else asked
            think_s = max(0.0, time_s - previous_s)
            turn = Turn(input_tokens=new, output_tokens=answered, think_s=think_s, after="final")
            scripted.append(turn)
            history, previous_s = asked + answered, time_s
        sessions.append(Session(session_id=str(key), start_s=turns[0][0], turns=scripted))
    return sessions


_JSONL_FORMATS: dict[str, Callable[[str, str], list[Session]]] = {
    "turns": _script,
    "hash_ids": _mooncake,
}


def _json_lines(text: str, name: str) -> list[tuple[int, dict[str, Any]]]:
    return [
        (number, _json_record(line, f"{name}, line {number}"))
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip()
    ]


def _json_record(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ScriptError(f"{where}: no JSON ({error})") from None
    if not isinstance(record, dict):
        raise ScriptError(f"{where}: it must be an object")
    return record


def _number(
    record: dict[str, Any], key: str, where: str, default: float | None, *, least: float = 0.0
) -> float:
    value = record.get(key, default)
    try:
        number = float("nan" if value is None or isinstance(value, bool) else value)
    except (TypeError, ValueError):
        number = float("nan")
    if not least <= number < 1e15:
        raise ScriptError(f"{where}: {key} is {value!r}; it must be a number from {least:g} on")
    return number
