"""Places are found, and kept, whatever is put where."""

from __future__ import annotations

import random

import pytest

from server.conversation.changes import ItemGone, NoteKept, SummaryKept
from server.store.layout import GAP, OVERHEAD_BYTES, Layout
from tests.server.store.rooms import said


def make() -> Layout:
    """An empty one."""
    return Layout("mio", "aoi", 1.0, 1.0, 0)


def test_an_item_in_the_middle_moves_no_other() -> None:
    """There is room between two that were written one after the other."""
    layout = make()
    for change in (said("a"), said("c", after="a")):
        layout.apply(change)
    before = {place.item_id: place.position for place in layout.places}
    layout.apply(said("b", after="a"))
    layout.apply(said("0"))
    assert [place.item_id for place in layout.places] == ["0", "a", "b", "c"]
    assert {name: layout.place(name).position for name in "ac"} == before
    assert not layout.pending.is_moved


def test_where_the_room_is_used_up_all_get_new_positions() -> None:
    """After as many halvings as a gap has."""
    layout = make()
    layout.apply(said("a"))
    layout.apply(said("z", after="a"))
    for number in range(GAP.bit_length() - 1):
        layout.apply(said(f"i{number}", after="a"))
    assert not layout.pending.is_moved
    layout.apply(said("last", after="a"))
    assert layout.pending.is_moved
    layout.check_integrity()


def test_what_comes_again_is_written_after_it_is_erased() -> None:
    """An item that was deleted, and whose id was given again, is a new one."""
    layout = make()
    layout.apply(said("a"))
    layout.apply(said("b", after="a"))
    layout.pending.entries.clear()
    layout.apply(ItemGone("a"))
    layout.apply(ItemGone("nowhere"))
    layout.apply(said("a", "again", after="b"))
    assert [place.item_id for place in layout.places] == ["b", "a"]
    assert (layout.pending.gone, list(layout.pending.entries)) == ({"a"}, ["a"])


def test_bytes_and_title_follow_what_is_there() -> None:
    """Texts count as they are, and all that is beside them."""
    layout = make()
    layout.apply(said("a", "hello"))
    layout.apply(said("b", "you", after="a"))
    layout.apply(SummaryKept("They met."))
    layout.apply(NoteKept("ü"))
    assert layout.num_bytes == 3 * OVERHEAD_BYTES + len("helloyouThey met.") + 2
    assert layout.title == "hello"
    layout.apply(ItemGone("a"))
    layout.apply(said("b", "me"))
    layout.apply(SummaryKept(""))
    assert layout.num_bytes == 2 * OVERHEAD_BYTES + len("me") + 2
    assert layout.title == "me"


@pytest.mark.parametrize("seed", range(10))
def test_any_history_keeps_the_order(seed: int) -> None:
    """As a plain list has it."""
    dice = random.Random(seed)
    layout, model = make(), list[str]()
    for _ in range(300):
        name, after = f"i{dice.randrange(20)}", dice.choice([None, f"i{dice.randrange(20)}"])
        if dice.random() < 0.2:
            layout.apply(ItemGone(name))
            if name in model:
                model.remove(name)
        else:
            layout.apply(said(name, "x" * dice.randrange(9), after))
            if name not in model:
                at = 0 if after is None else len(model)
                model.insert(model.index(after) + 1 if after in model else at, name)
        layout.check_integrity()
        assert [place.item_id for place in layout.places] == model
