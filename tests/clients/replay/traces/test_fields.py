"""Lines and fields are read alike for all formats, and complaints name the place and the value."""

from __future__ import annotations

import pytest

from clients.replay.script import ScriptError
from clients.replay.traces.fields import (
    MAX_TOKENS,
    Record,
    as_record,
    csv_rows,
    json_lines,
    json_value,
    shown,
)


def record(**fields: object) -> Record:
    """A record of a line."""
    return Record("t.jsonl, line 7", fields)


@pytest.mark.parametrize("value", [True, "x", -1, 1e16, float("nan"), float("inf"), [], None])
def test_what_is_no_number_in_range_is_refused_with_its_place(value: object) -> None:
    """The line, the field, the value and what would do."""
    with pytest.raises(ScriptError, match=r"t.jsonl, line 7: n is .*; it must be a number from 0"):
        record(n=value).number("n")


def test_numbers_may_be_written_as_text_and_lose_their_decimals() -> None:
    """Tables hold text, and some of them 1020.0."""
    assert record(n="1020.0").whole("n") == 1020
    assert record(n=None).number("n", 2.5) == 2.5
    assert record().whole("n", 3) == 3


def test_a_whole_number_too_long_for_a_float_is_refused() -> None:
    """Python reads any length of digits."""
    with pytest.raises(ScriptError, match="n is 1000"):
        record(n=10**400).number("n")


def test_an_id_may_be_a_number_and_a_text_may_not() -> None:
    """Session ids come in both ways."""
    assert record(a=5).name("a") == "5"
    assert (record().name("a", "none"), record().text("b", "empty")) == ("none", "empty")
    with pytest.raises(ScriptError, match=r"a is \[\]; it must be a string or a whole number"):
        record(a=[]).name("a")
    with pytest.raises(ScriptError, match="b is 5; it must be a string"):
        record(b=5).text("b")


def test_halves_of_letters_are_replaced() -> None:
    """JSON can hold them, and no client could send them."""
    assert (record(a="a\ud800é").text("a"), record(a="\udc00").name("a")) == ("a?é", "?")


def test_more_tokens_than_a_model_takes_are_refused() -> None:
    """Their words would fill the memory before anything is sent."""
    assert record(n=MAX_TOKENS).tokens("n") == MAX_TOKENS
    with pytest.raises(ScriptError, match="n is 10000001; it must be a number from 1 to 10000000"):
        record(n=MAX_TOKENS + 1).tokens("n", least=1)


def test_hash_ids_are_whole_numbers_or_none() -> None:
    """A record without them shares nothing."""
    assert record(hash_ids=[3, 4]).hash_ids() == (3, 4)
    assert record().hash_ids() == ()
    for wrong in ("x", [1, "2"], [True], [1.5]):
        with pytest.raises(ScriptError, match="'hash_ids' must be a list of whole numbers"):
            record(hash_ids=wrong).hash_ids()


def test_objects_of_a_list_know_where_they_stand() -> None:
    """Counting from 1."""
    (one,) = record(turns=[{"a": 1}]).objects("turns", "turn")
    assert one.where == "t.jsonl, line 7, turn 1"
    with pytest.raises(ScriptError, match="turn 1: it must be an object, not 5"):
        record(turns=[5]).objects("turns", "turn")
    nothing: list[object] = [{}, [], None, "x"]
    for wrong in nothing:
        with pytest.raises(ScriptError, match="'turns' must be a list that is not empty"):
            record(turns=wrong).objects("turns", "turn")


def test_a_misspelt_field_is_told_with_those_that_there_are() -> None:
    """It would do nothing in silence."""
    with pytest.raises(ScriptError, match="there is no field 'thnk'; there are after, think"):
        record(thnk=1).refuse_others(frozenset({"think", "after"}))


def test_long_values_are_cut() -> None:
    """A complaint stays a line."""
    assert shown("x" * 1000).endswith("...")
    assert len(shown(list(range(10_000)))) == 60
    assert shown("short") == "'short'"


def test_json_lines_count_empty_lines_and_keep_odd_separators() -> None:
    """Line numbers are those of an editor; U+2028 may stand in a string."""
    rows = list(json_lines('{"a": "x\u2028y"}\r\n\n{"a": 2}\n', "t"))
    assert [row.where for row in rows] == ["t, line 1", "t, line 3"]
    assert rows[0].fields == {"a": "x\u2028y"}


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a": 1} x'])
def test_what_is_no_json_is_named(text: str) -> None:
    """However deep it is nested."""
    with pytest.raises(ScriptError, match="t, line 1: no JSON"):
        json_value(text, "t, line 1")


def test_a_record_is_an_object() -> None:
    """A list of numbers is a line of something else."""
    with pytest.raises(ScriptError, match=r"here: it must be an object, not \[1\]"):
        as_record([1], "here")


def test_tables_may_have_spaces_quotes_and_more_columns() -> None:
    """What is not asked for is passed over."""
    (row,) = csv_rows('a, b ,c\r\n1, 2,"x, y"\r\n', "t", ("a", "b"))
    assert row.fields == {"a": "1", "b": "2", "c": "x, y"}
    assert row.where == "t, line 2"


def test_empty_lines_of_a_table_count_and_are_passed_over() -> None:
    """Before the heading, between rows and at the end."""
    (row,) = csv_rows("\n\na,b\n\n1,2\n  \n", "t", ("a", "b"))
    assert (row.where, row.fields) == ("t, line 5", {"a": "1", "b": "2"})


def test_a_table_without_a_column_names_it() -> None:
    """And those that it has."""
    with pytest.raises(ScriptError, match="t, line 1: there is no column 'b', but 'a, c'"):
        list(csv_rows("a,c\n1,2\n", "t", ("a", "b")))


@pytest.mark.parametrize("row", ["1", "1,2,3"])
def test_a_row_that_was_cut_off_is_named(row: str) -> None:
    """Downloads end early."""
    with pytest.raises(ScriptError, match="t, line 3: the heading has 2 columns"):
        list(csv_rows(f"a,b\n1,2\n{row}\n", "t", ("a",)))


def test_a_cell_without_an_end_is_no_table() -> None:
    """A quotation mark that nobody closes swallows the rest."""
    with pytest.raises(ScriptError, match="no CSV"):
        list(csv_rows("a,b\n1,2\n" + "x" * 200_000 + ",1\n", "t", ("a",)))
