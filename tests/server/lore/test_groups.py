"""Who comes up of a group."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from server.lore.groups import without_rivals
from server.lore.known import Known
from server.lore.rules import rules_of
from server.lore.scene import Scene
from tests.support.lore import entry, scene

NOW = scene("k", turn=3, standing=["i1", "i2"])


def member(name: str, place: int, order: int = 100, **extensions: Any) -> Known:
    """An entry of the group ``g``, unless it says another."""
    item = entry(name, "k", insertion_order=order, extensions={"group": "g", **extensions})
    return Known(item, rules_of(item), 0, place)


def left(fresh: list[Known], active: list[Known] | None = None, seed: int = 1) -> list[str]:
    """Who is left."""

    def draw(what: str, scene: Scene) -> random.Random:
        return random.Random(f"{seed}{what}")

    return [one.entry.content for one in without_rivals(fresh, active or [], NOW, draw)]


def test_those_without_a_group_and_those_alone_stay() -> None:
    """In their order."""
    members = [member("a", 0), member("b", 1, group="h"), member("c", 2, group="")]
    assert left(members) == ["a", "b", "c"]


def test_weights_are_chances() -> None:
    """Nobody without weight wins, unless all are without."""
    fresh = [member("a", 0, group_weight=300), member("b", 1), member("c", 2, group_weight=0)]
    won = Counter(left(fresh, seed=seed)[0] for seed in range(400))
    assert 250 < won["a"] < 350
    assert won["c"] == 0
    none = [member("a", 0, group_weight=0), member("b", 1, group_weight=0)]
    assert {left(none, seed=seed)[0] for seed in range(20)} == {"a", "b"}


def test_a_leader_goes_before_chance() -> None:
    """The one with the highest order, of equals the first."""
    fresh = [
        member("a", 0, 900),
        member("b", 1, 5, group_override=True),
        member("c", 2, 7, group_override=True),
        member("d", 3, 7, group_override=True),
    ]
    assert left(fresh) == ["c"]


def test_who_stands_or_goes_on_is_not_replaced() -> None:
    """Not even by a leader."""
    standing, sticky = member("a", 0), member("b", 1)
    standing.item_id, standing.turn = "i2", 2
    sticky.sticky_until = 10**6
    leader = member("c", 2, group_override=True)
    assert left([leader, standing]) == ["a"]
    assert left([leader, sticky]) == ["b"]


def test_who_has_come_up_in_this_turn_keeps_all_others_away() -> None:
    """Also where there is only one."""
    assert left([member("a", 0)], [member("b", 1)]) == []


def test_one_may_belong_to_several_groups() -> None:
    """It must win in each."""
    both = member("a", 0, group="g, h")
    assert left([both], [member("b", 1, group="h")]) == []
    assert len(left([both, member("b", 1), member("c", 2, group="h")])) in (1, 2)
