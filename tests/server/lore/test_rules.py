"""What an entry asks for, however oddly it says so."""

from __future__ import annotations

from typing import Any

import pytest

from server.lore.rules import Logic, rules_of, stands_in_head
from tests.support.lore import entry


def test_decorators_go_before_extensions() -> None:
    """Of the same meaning."""
    both = entry("x", "k", lines=["scan_depth 7"], extensions={"scan_depth": 2})
    assert rules_of(both).scan_depth == 7
    assert rules_of(entry("x", "k", extensions={"scan_depth": 2})).scan_depth == 2
    assert rules_of(entry("x", "k")).scan_depth is None


def test_extensions_that_cannot_be_read_are_as_if_not_there() -> None:
    """Whatever a card holds in their place."""
    odd = {
        "probability": "often",
        "sticky": [3],
        "cooldown": float("nan"),
        "delay": -4,
        "group": 7,
        "group_weight": None,
        "selectiveLogic": 9,
        "scan_depth": "deep",
        "delay_until_recursion": True,
    }
    rules = rules_of(entry("x", "k", extensions=odd))
    assert (rules.probability, rules.sticky, rules.cooldown, rules.delay) == (1.0, 0, 0, 0)
    assert (rules.groups, rules.group_weight, rules.logic) == ((), 100.0, Logic.AND_ANY)
    assert (rules.scan_depth, rules.recursion_level) == (None, 1)


def test_a_chance_counts_unless_it_is_switched_off() -> None:
    """``useProbability`` false means always."""
    extensions = {"probability": 25, "useProbability": True}
    assert rules_of(entry("x", "k", extensions=extensions)).probability == 0.25
    extensions["useProbability"] = False
    assert rules_of(entry("x", "k", extensions=extensions)).probability == 1.0


def test_an_entry_of_patterns_has_no_secondary_keys() -> None:
    """As V3 says; SillyTavern, which says it of every entry, means otherwise."""
    fields: dict[str, Any] = {"use_regex": True, "secondary_keys": ("s",)}
    rules = rules_of(entry("x", "k", lines=["exclude_keys a"], **fields))
    assert rules.style.is_regex
    assert not rules.plain_style.is_regex
    assert (rules.secondary_keys, rules.excluded) == ((), ())
    tavern = rules_of(entry("x", "k", extensions={"selectiveLogic": 0}, **fields))
    assert tavern.style.is_regex
    assert tavern.secondary_keys == ("s",)


@pytest.mark.parametrize(
    ("logic", "holds"),
    [
        (Logic.AND_ANY, [False, True, True]),
        (Logic.NOT_ALL, [True, True, False]),
        (Logic.NOT_ANY, [True, False, False]),
        (Logic.AND_ALL, [False, False, True]),
    ],
)
def test_secondary_keys_count_in_four_ways(logic: Logic, holds: list[bool]) -> None:
    """None, one or all of two said."""
    assert [logic.holds(found) for found in ([False, False], [True, False], [True, True])] == holds


def test_a_constant_entry_stands_in_the_head() -> None:
    """Unless it is switched off, or anything can forbid it at times."""
    assert stands_in_head(entry("x", constant=True))
    assert stands_in_head(entry("x", constant=True, lines=["depth 4", "scan_depth 2"]))
    assert not stands_in_head(entry("x", "k"))
    assert not stands_in_head(entry("x", constant=True, enabled=False))
    assert not stands_in_head(entry("", constant=True))
    for line in ("dont_activate", "activate_only_after 2", "is_greeting 1", "exclude_keys a"):
        assert not stands_in_head(entry("x", constant=True, lines=[line]))
    for extensions in ({"probability": 50}, {"delay": 3}, {"group": "a"}):
        assert not stands_in_head(entry("x", constant=True, extensions=extensions))
