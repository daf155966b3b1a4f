"""Seeded text."""

from __future__ import annotations

from tools.gateway.script import Script, read_wish


def test_the_last_wish_counts() -> None:
    """A prompt holds earlier turns; the reply is to the last one."""
    one, other = Script(1, 20), Script(2, 30, 600)
    assert read_wish(f"<user>{one.wish}<assistant>…<user>{other.wish}<assistant>") == other
    assert read_wish("<user>Hello.") is None


def test_text_follows_from_the_seed() -> None:
    """The same each time, of the pieces that were asked for."""
    script = Script(3, 50, 40)
    pieces = script.pieces()
    assert pieces == Script(3, 50, 40).pieces() != Script(4, 50, 40).pieces()
    assert len(pieces) == 50
    assert all(len(piece) == 40 for piece in pieces)
