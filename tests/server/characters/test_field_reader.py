"""Values of an author in, checked values or refusals by path out."""

from __future__ import annotations

from typing import Any

import pytest

from server.characters.field_reader import MAX_GREETINGS, FieldReader
from server.errors import CharacterFileError
from server.text.tag_rules import MAX_TAG_NAMES

READER = FieldReader(lambda key, problem: CharacterFileError("file", problem, key=key))


def refused(method: str, *arguments: Any) -> str | None:
    """The path that a refusal names."""
    with pytest.raises(CharacterFileError) as caught:
        getattr(READER, method)(*arguments)
    return caught.value.key


def test_what_is_not_there_is_empty() -> None:
    """Every value is optional here."""
    assert READER.text({}, "x") == ""
    assert READER.texts({}, "x") == ()
    assert READER.table({}, "x") == {}
    assert READER.sampling({}) == ({}, None)


def test_good_values_are_given_back() -> None:
    """As they were written."""
    assert READER.text({"x": " a "}, "x") == " a "
    assert READER.texts({"x": ["a", "b"]}, "x") == ("a", "b")
    assert READER.table({"x": {"a": 1}}, "x") == {"a": 1}
    assert READER.tag_names({"x": ["happy", "Grin_2"]}, "x", ()) == ("happy", "Grin_2")
    assert READER.tag_names({}, "x", ("sad",)) == ("sad",)
    assert READER.avatar({"hair": "#00ffAA", "style": "bob"}) == {"hair": "#00ffAA", "style": "bob"}
    sampling = {"temperature": 1, "stop": ["END"], "seed": 3, "max_output_tokens": 5}
    assert READER.sampling(dict(sampling)) == (
        {"temperature": 1, "stop": ["END"], "seed": 3},
        5,
    )


@pytest.mark.parametrize("value", [1, None, ["x"], {}])
def test_a_text_is_a_text(value: object) -> None:
    """Nothing else is bent into one."""
    assert refused("text", {"x": value}, "x") == "x"


@pytest.mark.parametrize("value", ["x", None, [1], {}, ["x"] * (MAX_GREETINGS + 1)])
def test_texts_are_a_list_of_bounded_length(value: object) -> None:
    """Of texts alone."""
    assert refused("texts", {"x": value}, "x") == "x"


@pytest.mark.parametrize("value", ["x", None, [1], 2])
def test_a_table_is_a_table(value: object) -> None:
    """Not a list of them either."""
    assert refused("table", {"x": value}, "x") == "x"


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("happy", "expressions"),
        (["x"] * (MAX_TAG_NAMES + 1), "expressions"),
        (["happy", 3], "expressions[1]"),
        (["a b"], "expressions[0]"),
        (["a", "A"], "expressions[1]"),
    ],
)
def test_faces_and_motions_are_names(value: object, path: str) -> None:
    """Each once, whatever its case."""
    assert refused("tag_names", {"expressions": value}, "expressions", ()) == path


@pytest.mark.parametrize(
    ("table", "path"),
    [
        ({"temprature": 1}, "sampling.temprature"),
        ({"logit_bias": {}}, "sampling.logit_bias"),
        ({"temperature": "1"}, "sampling.temperature"),
        ({"temperature": True}, "sampling.temperature"),
        ({"temperature": -1}, "sampling.temperature"),
        ({"max_output_tokens": True}, "sampling.max_output_tokens"),
        ({"max_output_tokens": 0}, "sampling.max_output_tokens"),
    ],
)
def test_sampling_is_what_the_engine_takes(table: dict[str, Any], path: str) -> None:
    """Unknown names, other types and values out of range are refused."""
    assert refused("sampling", table) == path


@pytest.mark.parametrize(
    ("table", "path"),
    [
        ({"wings": "#000000"}, "avatar.wings"),
        ({"hair": "red"}, "avatar.hair"),
        ({"hair": 3}, "avatar.hair"),
        ({"style": "<b>"}, "avatar.style"),
    ],
)
def test_an_avatar_is_colours_and_a_style(table: dict[str, Any], path: str) -> None:
    """Nothing that a page's style sheet could be broken with."""
    assert refused("avatar", table) == path


def test_a_long_key_is_not_repeated() -> None:
    """It comes from strangers."""
    assert len(refused("refuse_unknown", {"x" * 9999: 1}, ("a",), "p.") or "") < 100
