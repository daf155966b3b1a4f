"""JSON of strangers: what two readers may understand differently is refused."""

from __future__ import annotations

import pytest

from server.cards.json_text import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_JSON_BYTES,
    MAX_VALUES,
    parse_json,
    write_json,
)
from server.errors import CardError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 1.0, true, null, "x"]}', {"a": [1, 1.0, True, None, "x"]}),
        ('{"a": "\\ud83d\\ude00 葵"}', {"a": "\U0001f600 葵"}),
        ('\ufeff {"a": "[[[[{{{{"}', {"a": "[[[[{{{{"}),
        ('{"\\"[": {"": {}}}', {'"[': {"": {}}}),
        ('{"a": "\\u0000"}', {"a": "\0"}),
        ('{"a": 1000000000000000000000}', {"a": 10**21}),
    ],
)
def test_json_is_read_and_written(text: str, value: dict[str, object]) -> None:
    """With or without a byte order mark, and to the same values again."""
    assert parse_json(text.encode()) == value
    assert parse_json(write_json(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'"a"',
        b'{"a": 1',
        b'{"a": 1} x',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e400}',
        b'{"a": ' + b"1" * (MAX_DIGITS + 1) + b"}",
        b'{"a": 1, "a": 1}',
        b'{"b": {"a": 1, "\\u0061": 1}}',
        b'{"a": "\\ud83d"}',
        b'{"\\ude00\\ud83d": 1}',
        b'{"a": "\xed\xa0\xbd"}',
        b"\xff\xfe{\0}\0",
        b'{"a": "unclosed [[[[',
    ],
)
def test_what_is_no_card_json_is_refused(text: bytes) -> None:
    """By one code, and never by a traceback."""
    with pytest.raises(CardError) as caught:
        parse_json(text)
    assert caught.value.code == "card_bad_json"


def test_depth_is_counted_before_it_is_built() -> None:
    """The limit itself is allowed; the outer braces are the first level."""
    within = b'{"a": ' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    assert parse_json(within)
    for text in (b'{"a": ' + b"[" * MAX_DEPTH, b'{"a":' * 100_000):
        with pytest.raises(CardError) as caught:
            parse_json(text)
        assert caught.value.code == "card_too_deep"


def test_values_are_counted_before_they_are_built() -> None:
    """Millions of empty lists would take far more memory than their text."""
    with pytest.raises(CardError) as caught:
        parse_json(b'{"a": [' + b"[]," * MAX_VALUES + b"[]]}")
    assert caught.value.code == "card_too_many_entries"


def test_large_json_is_refused() -> None:
    """Before it is decoded."""
    with pytest.raises(CardError) as caught:
        parse_json(b" " * (MAX_JSON_BYTES + 1))
    assert caught.value.code == "card_too_large"
