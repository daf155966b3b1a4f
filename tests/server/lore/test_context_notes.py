"""What a client tells is said once, or repeated, or taken back."""

from __future__ import annotations

import pytest

from server.errors import InvalidValue, LimitExceeded
from server.lore.context_notes import MAX_BYTES, MAX_KEYS, MAX_REMEMBERED, ContextNotes


def test_a_text_is_said_once() -> None:
    """Behind the next message; several by lines."""
    notes = ContextNotes()
    notes.put("place", " The kitchen. ")
    notes.put("time", "Noon.")
    assert notes.say() == "The kitchen.\nNoon."
    assert notes.say() == ""
    assert len(notes) == 0


def test_a_text_is_repeated_for_its_turns() -> None:
    """And then no more."""
    notes = ContextNotes()
    notes.put("hunger", "You are hungry.", 3)
    assert [notes.say() for _ in range(4)] == ["You are hungry."] * 3 + [""]


def test_the_same_key_replaces() -> None:
    """The text, its turns and its place; it is the newest."""
    notes = ContextNotes()
    notes.put("a", "one", 5)
    notes.put("b", "two")
    notes.put("a", "three")
    assert notes.say() == "two\nthree"
    assert notes.say() == ""


def test_what_was_never_said_is_forgotten_without_a_word() -> None:
    """There is nothing to take back."""
    notes = ContextNotes()
    notes.put("a", "one")
    notes.put("a", "")
    notes.put("b", "")
    assert notes.say() == ""


def test_what_was_said_is_taken_back_in_words_once() -> None:
    """And so is what is still being repeated."""
    notes = ContextNotes()
    notes.put("a", "It rains.", 4)
    notes.say()
    notes.put("a", "")
    notes.put("a", "")
    assert notes.say() == "No longer so: It rains."
    notes.put("a", "")
    assert notes.say() == ""
    notes.put("b", "long " * 1000)
    notes.say()
    notes.put("b", " ")
    assert len(notes.say()) < 200


def test_a_key_that_was_taken_back_may_come_again() -> None:
    """With a new text."""
    notes = ContextNotes()
    notes.put("a", "one")
    notes.say()
    notes.put("a", "")
    notes.put("a", "two")
    assert notes.say() == "two"


@pytest.mark.parametrize("key", ["", "k" * 129])
def test_a_bad_key_is_refused(key: str) -> None:
    """With its bounds."""
    with pytest.raises(InvalidValue, match="1 to 128 characters") as caught:
        ContextNotes().put(key, "x")
    assert caught.value.param == "key"


@pytest.mark.parametrize("turns", [0, -1, 1001])
def test_a_bad_number_of_turns_is_refused(turns: int) -> None:
    """With its bounds."""
    with pytest.raises(InvalidValue, match="1 to 1000") as caught:
        ContextNotes().put("k", "x", turns)
    assert caught.value.param == "ttl_turns"


def test_keys_and_bytes_are_bounded() -> None:
    """Nothing is changed by what is refused; a key that is there may be said anew."""
    notes = ContextNotes()
    for number in range(MAX_KEYS):
        notes.put(f"k{number}", "x", 2)
    with pytest.raises(LimitExceeded, match="number of context keys would be 65"):
        notes.put("one more", "x")
    notes.put("k0", "y")
    with pytest.raises(LimitExceeded, match="size of all context in bytes") as caught:
        notes.put("k0", "é" * (MAX_BYTES // 2))
    assert caught.value.limit == MAX_BYTES
    assert len(notes) == MAX_KEYS
    assert notes.say().splitlines() == ["x"] * (MAX_KEYS - 1) + ["y"]


def test_only_so_many_keys_are_remembered() -> None:
    """The oldest cannot be taken back any more."""
    notes = ContextNotes()
    for number in range(MAX_REMEMBERED + 1):
        notes.put(f"k{number}", f"text {number}")
        notes.say()
    notes.put("k0", "")
    notes.put("k1", "")
    assert notes.say() == "No longer so: text 1"


def test_what_replaces_a_text_takes_it_back() -> None:
    """Only what was read last is taken back, not what nobody has read."""
    notes = ContextNotes()
    notes.put("a", "It rains.")
    notes.say()
    notes.put("a", "It snows.")
    notes.put("a", "")
    assert notes.say() == "No longer so: It rains."
