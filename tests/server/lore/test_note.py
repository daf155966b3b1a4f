"""Everything behind one message, in one order."""

from __future__ import annotations

from server.lore.lore import Lore
from server.lore.note import NoteWriter
from tests.support.lore import book, entry, scene


def test_lore_comes_first_then_context_then_instructions() -> None:
    """An empty line between them, none between entries."""
    made = Lore([book(entry("One.", "k"), entry("Two.", "k"))], seed=1)
    writer = NoteWriter(made)
    writer.context.put("time", "Noon.")
    note = writer.compose(scene("k"), instructions="Be brief.")
    assert note == "One.\nTwo.\n\nNoon.\n\nBe brief."
    assert writer.compose(scene("k", turn=2, standing=["i1"]), num_read_since=3) == ""


def test_lore_may_be_off() -> None:
    """The rest goes on."""
    writer = NoteWriter()
    assert writer.compose(scene("k"), instructions="Be brief.") == "Be brief."
    again = scene("k", turn=2, standing=["i1"])
    assert writer.compose(again, instructions="Be brief.", num_read_since=5) == ""
    later = scene("k", turn=3, standing=["i1", "i2"])
    assert writer.compose(later, instructions="Be brief.", num_read_since=900) == "Be brief."
