"""Files in, bytes or a clear refusal out."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.characters.file_bytes import read_file
from server.errors import CharacterFileError


def test_one_byte_too_many_is_enough(tmp_path: Path) -> None:
    """Whoever asks sees that there is more, and no more is read."""
    path = tmp_path / "x"
    path.write_bytes(b"abcdef")
    assert (read_file(path, 6), read_file(path, 3)) == (b"abcdef", b"abcd")


def test_what_cannot_be_read_is_refused_by_its_name(tmp_path: Path) -> None:
    """A folder, or nothing at all."""
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(CharacterFileError, match=f"^{path.name}: cannot be read"):
            read_file(path, 3)
