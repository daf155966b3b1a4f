"""Reads a trace of any format: a file or its text in, sessions out.

Nothing of a trace is invented: where it has no words, a turn has only lengths and, where the trace
says so, the identity of shared blocks.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from dataclasses import replace
from pathlib import Path

from clients.replay.script import ScriptError, Session
from clients.replay.traces.fields import MAX_RECORDS, Note
from clients.replay.traces.recognise import recognise

MAX_TRACE_BYTES = 1 << 30
"""Of a file, and of what a compressed one holds."""
_GZIP = b"\x1f\x8b"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


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
    text = _text(path)
    if text.count("\n") > MAX_RECORDS and not text.lstrip().startswith("["):
        raise ScriptError(f"{path} has more than {MAX_RECORDS} lines; {_cut(path)}")
    sessions = parse_trace(text, name=path.name, note=note)
    return sessions if limit is None else sessions[:limit]


def parse_trace(text: str, *, name: str = "trace", note: Note = _say_nothing) -> list[Session]:
    """Parse a trace's text; see ``read_trace``."""
    if not text.strip():
        raise ScriptError(f"{name} is empty")
    sessions = recognise(text, name).parse(text, name, note)
    if not sessions:
        raise ScriptError(f"{name} holds no session that can be played")
    return _apart(sorted(sessions, key=lambda session: session.start_s))


def _apart(sessions: list[Session]) -> list[Session]:
    """See that no two have one id, by which requests are known."""
    if len({session.session_id for session in sessions}) == len(sessions):
        return sessions
    return [replace(one, session_id=f"{n}:{one.session_id}") for n, one in enumerate(sessions)]


def _text(path: Path) -> str:
    """Return a file's text: UTF-8, or UTF-16 with its mark; compressed by gzip, or plain."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TRACE_BYTES + 1)
        if data.startswith(_GZIP):
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                data = packed.read(MAX_TRACE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ScriptError(f"cannot read {path}: {reason}") from None
    if len(data) > MAX_TRACE_BYTES:
        raise ScriptError(f"{path} is larger than {MAX_TRACE_BYTES} bytes; {_cut(path)}")
    encoding = "utf-16" if data.startswith(_UTF_16) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ScriptError(
            f"cannot read {path}, line {line}: what stands there is no text in UTF-8 "
            f"({error.reason}); save the file in UTF-8"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _cut(path: Path) -> str:
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    reader = "head" if plain == path else f"gunzip -c {path.name} | head"
    source = f" {path.name}" if plain == path else ""
    return f"cut it first: {reader} -n 100000{source} > part{plain.suffix}"
