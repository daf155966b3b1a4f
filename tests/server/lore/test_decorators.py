"""Which decorators count, and what stands in for the others."""

from __future__ import annotations

import pytest

from server.cards.lorebook import Decorator
from server.lore.decorators import HONOURED, effective, list_of, number_of
from tests.support.lore import decorate


def names(*lines: str) -> list[str]:
    """Of those that count."""
    return [f"{one.name} {one.value}".strip() for one in effective(decorate(*lines))]


def test_an_unknown_decorator_gives_way_to_its_first_known_fallback() -> None:
    """From top to bottom; nothing counts where none is known."""
    assert names("risu_only 4", "@agn_only 4", "@scan_depth 4", "@dont_activate") == [
        "scan_depth 4"
    ]
    assert names("risu_only 4", "@agn_only 4") == []
    assert names("scan_depth 2", "@dont_activate") == ["scan_depth 2"]


def test_a_value_that_cannot_be_read_is_no_decorator() -> None:
    """Its fallback counts."""
    assert names("scan_depth much", "@activate") == ["activate"]
    assert names("scan_depth -1") == names("scan_depth nan") == names("scan_depth inf") == []
    assert names("role narrator", "additional_keys ,") == []
    assert names("role user", "exclude_keys a, b") == ["role user", "exclude_keys a, b"]


def test_the_first_of_a_name_counts_but_of_additional_keys_all() -> None:
    """As the specification says."""
    assert names("depth 1", "depth 2") == ["depth 1"]
    assert len(names("additional_keys a", "additional_keys b")) == 2


def test_what_is_only_preserved_counts_for_nothing() -> None:
    """And so its fallback does."""
    assert names("position after_desc", "@activate") == ["activate"]
    assert names("instruct_depth 3", "is_user_icon x", "disable_ui_prompt system_prompt") == []


def test_a_long_chain_of_fallbacks_ends() -> None:
    """At least five are looked at."""
    chain = Decorator(name="activate", value="")
    for _ in range(100):
        chain = Decorator(name="unknown", value="", fallbacks=(chain,))
    assert effective([chain]) == []
    assert names("a", "@b", "@c", "@d", "@e", "@activate") == ["activate"]


def test_values_are_read() -> None:
    """Whole numbers and lists."""
    number, texts = decorate("depth 4.0", "exclude_keys a , b,,c d")
    assert number_of(number) == 4
    assert list_of(texts) == ("a", "b", "c d")


@pytest.mark.parametrize("name", HONOURED)
def test_each_treatment_is_what_the_table_says(name: str) -> None:
    """What is honoured or approximated counts, what is preserved does not."""
    value = {"role": "system", "additional_keys": "a", "exclude_keys": "a"}.get(name, "1")
    counts = bool(names(f"{name} {value}"))
    assert counts == (HONOURED[name][0] != "preserved")
