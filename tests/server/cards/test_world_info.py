"""SillyTavern's world info in the words of a lorebook."""

from __future__ import annotations

import pytest

from server.cards.lorebook import read_book
from server.cards.world_info import is_world_info, to_lorebook
from server.errors import CardError

ENTRY = {
    "uid": 3,
    "key": ["sea", "/se+a/i"],
    "keysecondary": ["salt"],
    "comment": "The sea",
    "content": "It is wide.",
    "constant": False,
    "selective": True,
    "order": 50,
    "position": 4,
    "depth": 2,
    "role": 1,
    "disable": True,
    "caseSensitive": True,
    "scanDepth": 8,
    "excludeRecursion": True,
    "probability": 80,
    "useProbability": True,
}


def test_world_info_is_told_by_its_entries() -> None:
    """They are an object, by uid."""
    assert is_world_info({"entries": {"0": {}}})
    assert not is_world_info({"entries": [{}]})


def test_world_info_is_read_as_a_lorebook() -> None:
    """Under the specification's names, places as decorators."""
    raw = {"name": "World", "entries": {"3": ENTRY}}
    book = read_book(to_lorebook(raw))
    (entry,) = book.entries
    assert book.name == "World"
    assert (entry.id, entry.name, entry.content) == ("3", "The sea", "It is wide.")
    assert (entry.keys, entry.use_regex) == (("sea", "/se+a/i"), True)
    assert (entry.secondary_keys, entry.selective) == (("salt",), True)
    assert (entry.insertion_order, entry.enabled, entry.case_sensitive) == (50, False, True)
    assert {d.name: d.value for d in entry.decorators} == {
        "depth": "2",
        "role": "user",
        "scan_depth": "8",
    }
    assert entry.extensions["exclude_recursion"] is True
    assert entry.extensions["probability"] == 80
    assert raw == {"name": "World", "entries": {"3": ENTRY}}


@pytest.mark.parametrize(
    ("position", "place"), [(0, "before_char"), (None, "before_char"), (1, "after_char")]
)
def test_places_around_the_character_are_kept(position: int | None, place: str) -> None:
    """SillyTavern counts them."""
    book = read_book(to_lorebook({"entries": {"a": {"position": position}}}))
    assert (book.entries[0].id, book.entries[0].position) == ("a", place)


def test_what_is_no_entry_is_refused() -> None:
    """By its uid."""
    with pytest.raises(CardError) as caught:
        to_lorebook({"entries": {"7": "text"}})
    assert (caught.value.code, caught.value.key) == ("card_bad_field", "entries.7")
