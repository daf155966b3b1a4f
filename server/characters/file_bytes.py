"""Reads a file that an operator names, and no more of it than may be used."""

from __future__ import annotations

from pathlib import Path

from server.errors import CharacterFileError


def read_file(path: Path, most: int) -> bytes:
    """Return a file's bytes, or the first ``most + 1`` of them, so that too many are noticed.

    Raises:
        CharacterFileError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise CharacterFileError(path.name, f"cannot be read: {error.strerror}") from None
