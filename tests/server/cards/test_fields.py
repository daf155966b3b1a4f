"""Single fields: forgiving where real cards are sloppy, strict where it protects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from server.cards.fields import (
    MAX_LIST_LENGTH,
    MAX_NUMBER,
    MAX_TEXT_LENGTH,
    read_flag,
    read_number,
    read_table,
    read_text,
    read_texts,
)
from server.errors import CardError


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), (None, ""), (1, "1"), (1.5, "1.5"), ("", "")]
)
def test_text_is_read(value: object, text: str) -> None:
    """Null is empty, and a version number is text."""
    assert read_text({"a": value}, "a", "") == text


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (["a", "b"], ("a", "b")),
        (None, ()),
        ([], ()),
        ("Hello, you", ("Hello, you",)),
        ("", ()),
        (["a", None, 2077], ("a", "2077")),
    ],
)
def test_texts_are_read(value: object, texts: tuple[str, ...]) -> None:
    """One text is a list of one, and null members say nothing."""
    assert read_texts({"a": value}, "a", "") == texts


def test_one_text_may_be_split_at_its_commas() -> None:
    """So write people their tags and keys."""
    assert read_texts({"a": "a, b,"}, "a", "", commas=True) == ("a", "b")


@pytest.mark.parametrize(
    ("value", "flag"),
    [(True, True), (False, False), (None, True), (0, False), (1, True), ("False", False)],
)
def test_flags_are_read(value: object, flag: bool) -> None:
    """Numbers and words stand for truth values, null for the default."""
    assert read_flag({"a": value}, "a", "", default=True) is flag


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, 3), ("100", 100), (" -2 ", -2), (2.9, 2), (None, None), ("", None), (MAX_NUMBER,) * 2],
)
def test_numbers_are_read(value: object, number: int | None) -> None:
    """Text that holds a number is one, and fractions are rounded down."""
    assert read_number({"a": value}, "a", "") == number


def test_an_empty_list_is_an_empty_object() -> None:
    """PHP writes it so."""
    assert read_table({"a": []}, "a", "") == {}
    assert read_table({}, "a", "") == {}


def test_a_table_is_a_view() -> None:
    """What the caller gets cannot change the card."""
    raw = {"a": {"b": 1}}
    table = read_table(raw, "a", "")
    raw["a"]["b"] = 2
    assert table == {"b": 1}


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (read_text, ["a"]),
        (read_text, True),
        (read_texts, {"a": 1}),
        (read_texts, 3),
        (read_texts, [["a"]]),
        (read_number, "12 apples"),
        (read_number, "9" * 33),
        (read_number, 10**300),
        (read_number, True),
        (read_number, "nan"),
        (read_number, "inf"),
        (read_table, "a"),
        (read_table, [1]),
    ],
)
def test_what_cannot_be_meant_is_refused(
    read: Callable[[dict[str, Any], str, str], object], value: object
) -> None:
    """With the field's path and a value of bearable length."""
    with pytest.raises(CardError) as caught:
        read({"a": value}, "a", "data.")
    assert caught.value.code == "card_bad_field"
    assert caught.value.key is not None
    assert caught.value.key.startswith("data.a")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", [2, "yes", []])
def test_what_is_no_flag_is_refused(value: object) -> None:
    """Only two numbers and two words are truth values."""
    with pytest.raises(CardError, match=r"data\.a: is"):
        read_flag({"a": value}, "a", "data.", default=True)


def test_long_lists_are_refused() -> None:
    """The limit itself is allowed."""
    assert len(read_texts({"a": ["x"] * MAX_LIST_LENGTH}, "a", "")) == MAX_LIST_LENGTH
    with pytest.raises(CardError) as caught:
        read_texts({"a": ["x"] * (MAX_LIST_LENGTH + 1)}, "a", "")
    assert caught.value.code == "card_too_many_entries"


def test_long_texts_are_refused() -> None:
    """The limit itself is allowed."""
    assert read_text({"a": "x" * MAX_TEXT_LENGTH}, "a", "")
    with pytest.raises(CardError) as caught:
        read_text({"a": "x" * (MAX_TEXT_LENGTH + 1)}, "a", "")
    assert caught.value.code == "card_too_large"
