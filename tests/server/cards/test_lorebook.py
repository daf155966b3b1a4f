"""Lorebooks: entries, decorators, and what SillyTavern says otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from server.cards.lorebook import (
    MAX_DECORATORS,
    MAX_ENTRIES,
    MAX_KEY_LENGTH,
    MAX_KEYS,
    Decorator,
    Lorebook,
    LoreEntry,
    read_book,
    split_decorators,
)
from server.errors import CardError

SILLYTAVERN = {"selectiveLogic": 0, "exclude_recursion": False}


def one(**fields: Any) -> LoreEntry:
    """Read a book of one entry."""
    return read_book({"entries": [fields]}).entries[0]


def test_an_empty_book_is_a_book() -> None:
    """Everything has a default, also where the entries are missing or null."""
    assert read_book({}) == read_book({"entries": None, "extensions": None}) == Lorebook()


def test_all_fields_of_a_book_are_read() -> None:
    """Under the names that the specification gives them."""
    book = read_book(
        {
            "name": "Harbour",
            "description": "what sailors know",
            "scan_depth": "4",
            "token_budget": 500.0,
            "recursive_scanning": True,
            "extensions": {"x": 1},
            "entries": [{}],
        }
    )
    assert (book.name, book.description) == ("Harbour", "what sailors know")
    assert (book.scan_depth, book.token_budget, book.recursive_scanning) == (4, 500, True)
    assert book.extensions == {"x": 1}
    assert book.entries == (LoreEntry(id="0"),)


def test_all_fields_of_an_entry_are_read() -> None:
    """Decorators come out of its content."""
    entry = one(
        id=7,
        name="sea",
        keys=["sea", "  ", "海"],
        secondary_keys=["salt"],
        selective=True,
        content="@@role system\nIt is wide.",
        enabled=False,
        insertion_order="100",
        case_sensitive=True,
        use_regex=True,
        constant=True,
        priority=5,
        position="after_char",
        extensions={"y": [1]},
    )
    assert entry == LoreEntry(
        id="7",
        name="sea",
        keys=("sea", "海"),
        secondary_keys=("salt",),
        selective=True,
        content="It is wide.",
        decorators=(Decorator(name="role", value="system"),),
        enabled=False,
        insertion_order=100,
        case_sensitive=True,
        use_regex=True,
        constant=True,
        priority=5,
        position="after_char",
        extensions={"y": [1]},
    )


def test_what_has_no_name_is_called_by_its_comment() -> None:
    """SillyTavern and Risu write no name."""
    assert one(comment="the sea").name == "the sea"


def test_what_has_no_priority_has_its_order() -> None:
    """V3: without priority, applications may follow insertion_order."""
    assert one(insertion_order=30).priority == 30


def test_unknown_positions_are_before_the_character() -> None:
    """Nothing of a book gets lost for a word of another program."""
    assert one(position=4).position == one(position="top").position == "before_char"


def test_negative_limits_are_none_at_all() -> None:
    """A book that may not say anything says nothing."""
    assert read_book({"token_budget": -1}).token_budget == 0


def test_ids_are_unique() -> None:
    """An id that is taken already gets the entry's place; each of them once."""
    ids = [{"id": 1}, {"id": 1}, {"id": "1#1"}, {}, {"id": "3"}]
    book = read_book({"entries": ids})
    assert [entry.id for entry in book.entries] == ["1", "1#1", "1#1#2", "3", "3#4"]


@pytest.mark.parametrize(
    ("content", "decorators", "rest"),
    [
        ("plain\n@@depth 4", (), "plain\n@@depth 4"),
        ("\n  plain", (), "\n  plain"),
        ("@@depth 4\ntext", (Decorator(name="depth", value="4"),), "text"),
        ("\n@@depth 4\n\n\ntext\n", (Decorator(name="depth", value="4"),), "text\n"),
        ("@@activate", (Decorator(name="activate", value=""),), ""),
        ("@@depth 4\r\n@@role user\r\nx", None, "x"),
        ("@@exclude_keys a, b,c \nx", (Decorator(name="exclude_keys", value="a, b,c"),), "x"),
        ("@@ -1,3 +1,3 @@\nx", (), "@@ -1,3 +1,3 @@\nx"),
        ("@@@orphan\nx", (), "x"),
        ("@@@@depth 4\nx", (), "@@@@depth 4\nx"),
        ("", (), ""),
    ],
)
def test_decorators_are_taken_off_the_head(
    content: str, decorators: tuple[Decorator, ...] | None, rest: str
) -> None:
    """Only there, and only lines that can be decorators."""
    found, left = split_decorators(content)
    assert left == rest
    assert decorators is None or found == decorators


def test_fallbacks_belong_to_the_decorator_above() -> None:
    """In the order in which they are to be tried."""
    found, content = split_decorators("@@risu_only 1\n@@@agn_only 2\n@@@depth 3\n@@role user\nx")
    assert content == "x"
    assert found == (
        Decorator(
            name="risu_only",
            value="1",
            fallbacks=(
                Decorator(name="agn_only", value="2"),
                Decorator(name="depth", value="3"),
            ),
        ),
        Decorator(name="role", value="user"),
    )


def test_too_many_decorators_are_refused() -> None:
    """The limit itself is allowed."""
    lines = "@@depth 4\n" * MAX_DECORATORS
    assert len(split_decorators(lines)[0]) == MAX_DECORATORS
    with pytest.raises(CardError) as caught:
        one(content=lines + "@@depth 4")
    assert caught.value.code == "card_too_many_entries"
    assert caught.value.key == "character_book.entries[0].content"


def test_sillytavern_regex_flags_are_read_as_meant() -> None:
    """It says use_regex of every entry; a pattern stands between slashes, other keys are words."""
    plain = one(keys=["C++"], use_regex=True, constant=True, extensions=SILLYTAVERN)
    assert (plain.keys, plain.use_regex, plain.constant) == (("C++",), False, True)
    mixed = one(keys=["/se+a/i", "C++"], use_regex=True, extensions=SILLYTAVERN)
    assert (mixed.keys, mixed.use_regex) == (("/se+a/i", r"C\+\+"), True)


@pytest.mark.parametrize(("own", "flag"), [(None, False), (True, True), (False, False)])
def test_sillytavern_keeps_case_in_its_extensions(own: bool | None, flag: bool) -> None:
    """Its null leaves the entry's own field to decide."""
    assert one(extensions={**SILLYTAVERN, "case_sensitive": own}).case_sensitive is flag
    assert one(case_sensitive=True, extensions=SILLYTAVERN).case_sensitive


def test_sillytavern_places_become_decorators() -> None:
    """Its entries between the messages say so in their extensions."""
    entry = one(extensions={**SILLYTAVERN, "position": 4, "depth": 2, "role": 2, "scan_depth": 6})
    assert {d.name: d.value for d in entry.decorators} == {
        "depth": "2",
        "role": "assistant",
        "scan_depth": "6",
    }


def test_decorators_count_more_than_sillytavern_places() -> None:
    """What the author wrote is not said twice."""
    entry = one(content="@@depth 9\nx", extensions={**SILLYTAVERN, "position": 4, "role": None})
    assert {d.name: d.value for d in entry.decorators} == {"depth": "9", "role": "system"}
    assert len(entry.decorators) == 2


@pytest.mark.parametrize(
    ("raw", "code", "key"),
    [
        ({"entries": "x"}, "card_bad_field", "b.entries"),
        ({"entries": [1]}, "card_bad_field", "b.entries[0]"),
        ({"entries": [{"keys": [[]]}]}, "card_bad_field", "b.entries[0].keys[0]"),
        ({"entries": [{"content": {}}]}, "card_bad_field", "b.entries[0].content"),
        ({"entries": [{}] * (MAX_ENTRIES + 1)}, "card_too_many_entries", "b.entries"),
        (
            {"entries": [{"keys": ["x"] * (MAX_KEYS + 1)}]},
            "card_too_many_entries",
            "b.entries[0].keys",
        ),
        (
            {"entries": [{"keys": ["x" * (MAX_KEY_LENGTH + 1)]}]},
            "card_bad_field",
            "b.entries[0].keys[0]",
        ),
    ],
)
def test_what_is_no_book_is_refused(raw: dict[str, Any], code: str, key: str) -> None:
    """By the path of the field at fault."""
    with pytest.raises(CardError) as caught:
        read_book(raw, path="b")
    assert (caught.value.code, caught.value.key) == (code, key)
