"""What is remembered of an entry."""

from __future__ import annotations

from typing import Any

from server.lore.known import REPEAT_AFTER_TURNS, Known
from server.lore.rules import rules_of
from tests.support.lore import entry, scene


def known(**extensions: Any) -> Known:
    """An entry that nobody has woken."""
    item = entry("x", "k", extensions=extensions)
    return Known(item, rules_of(item), 0, 0)


def test_an_entry_stands_while_its_message_is_read_and_near() -> None:
    """Not before it has been written anywhere."""
    one = known()
    assert not one.is_standing(scene("k", standing=[""]))
    one.item_id, one.turn = "i2", 2
    assert one.is_standing(scene("k", turn=3, standing=["i2"]))
    assert not one.is_standing(scene("k", turn=3, standing=["i1"]))
    far = 2 + REPEAT_AFTER_TURNS
    assert one.is_standing(scene("k", turn=far - 1, standing=["i2"]))
    assert not one.is_standing(scene("k", turn=far, standing=["i2"]))


def test_a_match_starts_its_times_once() -> None:
    """What is sticky is not made longer by another match; it rests when that has ended."""
    one = known(sticky=4, cooldown=3)
    one.matched(1)
    assert (one.sticky_until, one.cooldown_until) == (5, 8)
    one.matched(3)
    assert (one.sticky_until, one.cooldown_until) == (5, 8)
    one.matched(9)
    assert (one.sticky_until, one.cooldown_until) == (13, 16)
    assert one.is_sticky(scene("k", turn=7))
    assert not one.is_sticky(scene("k", turn=8))


def test_an_entry_without_times_remembers_only_the_match() -> None:
    """There is nothing to wait for."""
    one = known()
    one.matched(5)
    assert one.has_matched
    assert (one.sticky_until, one.cooldown_until) == (0, 0)
