"""Reads a trace of any format: a file or its text in, sessions out.

Nothing of a trace is invented: where it has no words, a turn has only lengths and, where the trace
says so, the identity of shared blocks.
"""

from __future__ import annotations

from pathlib import Path

from clients.replay.script import ScriptError, Session
from clients.replay.traces.fields import MAX_RECORDS, Note
from clients.replay.traces.recognise import recognise

MAX_TRACE_BYTES = 1 << 30


def _say_nothing(sentence: str) -> None:
    """The default of who wants no notes."""


def read_trace(path: Path, *, limit: int | None = None, note: Note = _say_nothing) -> list[Session]:
    """Read a file in any format that is known.

    Args:
        path: The file.
        limit: Keep so many sessions, those that start first.
        note: Told what was left out; one sentence each.

    Raises:
        ScriptError: It cannot be read; the message names the line.
    """
    try:
        if path.stat().st_size > MAX_TRACE_BYTES:
            raise ScriptError(f"{path} is larger than {MAX_TRACE_BYTES} bytes; {_cut(path)}")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(f"cannot read {path}: {error}") from None
    if text.count("\n") > MAX_RECORDS and not text.lstrip().startswith("["):
        raise ScriptError(f"{path} has more than {MAX_RECORDS} lines; {_cut(path)}")
    sessions = parse_trace(text, name=path.name, note=note)
    return sessions if limit is None else sessions[:limit]


def parse_trace(text: str, *, name: str = "trace", note: Note = _say_nothing) -> list[Session]:
    """Parse a trace's text; see ``read_trace``."""
    if not text.strip():
        raise ScriptError(f"{name} is empty")
    sessions = recognise(text, name).parse(text, name, note)
    return sorted(sessions, key=lambda session: session.start_s)


def _cut(path: Path) -> str:
    return f"cut it first: head -n 100000 {path.name} > part{path.suffix}"
