"""Azure's traces of LLM inference, 2023 and 2024, and of multimodal models, 2025.

``TIMESTAMP,ContextTokens,GeneratedTokens``; the multimodal one has ``NumImages`` too. Times are
dates with up to seven decimals, of which some files leave all out, with or without a zone.
https://github.com/Azure/AzurePublicDataset
"""

from __future__ import annotations

import datetime
import re

from clients.replay.script import ScriptError, Session, Turn
from clients.replay.traces.fields import Note, Record, csv_rows, shown
from clients.replay.traces.times import from_first

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))? ?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)


def parse_azure(text: str, name: str, note: Note) -> list[Session]:
    """Return one session of one turn per request.

    Raises:
        ScriptError: The table cannot be read.
    """
    sessions: list[Session] = []
    first_ns: int | None = None
    num_images = 0
    for row in csv_rows(text, name, COLUMNS):
        time_ns = _nanoseconds(row)
        first_ns = time_ns if first_ns is None else first_ns
        num_images += row.whole("NumImages", 0)
        turn = Turn(
            input_tokens=row.tokens("ContextTokens") or 1,
            output_tokens=row.tokens("GeneratedTokens") or 1,
        )
        sessions.append(
            Session(
                session_id=f"request-{len(sessions) + 1}",
                start_s=(time_ns - first_ns) / 1e9,
                turns=[turn],
            )
        )
    if num_images:
        note(f"{name}: images are left out, {num_images} of them: listeners only send text")
    return from_first(sessions)


def _nanoseconds(row: Record) -> int:
    """Return the time since 1970; a time without a zone is taken as UTC."""
    value = row.text("TIMESTAMP").strip()
    match = _TIME.fullmatch(value)
    try:
        if match is None:
            raise ValueError
        date, clock, fraction, zone = match.groups()
        moment = datetime.datetime.fromisoformat(f"{date}T{clock}{zone or '+00:00'}")
    except ValueError:
        raise ScriptError(
            f"{row.where}: TIMESTAMP is {shown(value)}; it must be a time like "
            "2023-11-16 18:15:46.6805900"
        ) from None
    return int(moment.timestamp()) * 10**9 + int((fraction or "0").ljust(9, "0"))
