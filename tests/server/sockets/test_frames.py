"""Frames are the library's own, byte for byte."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from server.sockets.frames import frame_size, text_frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 200_000])
def test_a_frame_is_what_the_library_makes_of_the_message(size: int) -> None:
    """On both sides of each change of the header's form; the size is foretold."""
    payload = b"x" * size
    frame = text_frame(payload)
    assert frame == Frame(Opcode.TEXT, payload).serialize(mask=False)
    assert frame_size(size) == len(frame)
