"""The one file of a ``multipart/form-data`` body (RFC 7578), as a browser's form sends it.

The body is in memory and bounded already. Other fields of the form are passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from server.http.refusals import HttpRefusal

MAX_PARTS = 16
MAX_HEAD_BYTES = 8 * 1024
"""Of one part."""

_BOUNDARY = re.compile(
    r";\s*boundary=(?:\"([^\"]{1,70})\"|([^\s;\"]{1,70})(?![^\s;]))", re.IGNORECASE
)
_DISPOSITION = re.compile(r"^content-disposition:\s*form-data\s*(;.*)$", re.IGNORECASE | re.M)
_FILE_NAME = re.compile(r";\s*filename=\"([^\"\r\n]*)\"", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file.

    Attributes:
        name: As the client calls it, folders left out; for messages alone.
        content: Its bytes.
    """

    name: str
    content: bytes


def read_file(content_type: str, body: bytes) -> SentFile:
    """Find the file.

    Args:
        content_type: The whole header.
        body: The whole body.

    Raises:
        HttpRefusal: 400 when the form cannot be read, or holds no file or several.
    """
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise _bad("the Content-Type names no boundary")
    mark = b"--" + (match[1] or match[2]).encode("latin-1", "replace")
    if not body.startswith(mark):
        raise _bad("it does not begin with its boundary")
    pieces = body.split(b"\r\n" + mark, MAX_PARTS + 1)
    if len(pieces) > MAX_PARTS + 1:
        raise _bad(f"it has more than {MAX_PARTS} parts")
    if not pieces[-1].startswith(b"--") or len(pieces) < 2:
        raise _bad("its last boundary is missing")
    pieces[0] = pieces[0][len(mark) :]
    files = [file for piece in pieces[:-1] if (file := _file_of(piece)) is not None]
    if len(files) != 1:
        raise _bad(f"it holds {len(files)} files, and must hold one")
    return files[0]


def _file_of(piece: bytes) -> SentFile | None:
    head, separator, content = piece.partition(b"\r\n\r\n")
    if not separator or len(head) > MAX_HEAD_BYTES or not head.startswith(b"\r\n"):
        raise _bad("a part has no head that can be read")
    disposition = _DISPOSITION.search(head.decode("utf-8", "replace").replace("\r\n", "\n"))
    name = _FILE_NAME.search(disposition[1]) if disposition else None
    if name is None:
        return None
    last = re.split(r"[/\\]", name[1])[-1]
    return SentFile("".join(one for one in last if one.isprintable())[:80] or "card", content)


def _bad(problem: str) -> HttpRefusal:
    return HttpRefusal(
        400,
        f"the form cannot be read: {problem}; send the card itself with its own Content-Type, or "
        "a form with one file",
        code="invalid_form",
    )
