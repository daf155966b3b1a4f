"""One call, character by character."""

from __future__ import annotations

import pytest

from server.text.json_call import MAX_NAME_LENGTH, JsonCall, Malformed


def read(text: str) -> tuple[str | None, str, bool]:
    """Name, arguments and whether it is whole, of what follows a ``{``."""
    call = JsonCall("name", "arguments")
    arguments = ""
    for char in text:
        call.feed(char)
        arguments += call.take_arguments()
    return call.name, arguments, call.is_whole


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('"name": "f", "arguments": {"a": [1, "}"]}}', '{"a": [1, "}"]}'),
        ('"arguments":{},"name":"f"}', "{}"),
        (' "x" : [{"name": "g"}] , "y": 1.5e3, "z": null, "name": "f" }', "{}"),
        ('"name": "f", "arguments": "{\\"a\\": \\"\\u3042\\"}"}', '{"a": "あ"}'),
        ('"name": "f", "arguments": null}', "{}"),
        ('"name": "f", "arguments": 5}', "5"),
        ('"name": "f", "name": "g", "arguments": {"\\\\": "\\""}}', '{"\\\\": "\\""}'),
    ],
)
def test_members_come_in_any_form(text: str, arguments: str) -> None:
    """The first name counts, and arguments are the model's own text."""
    assert read(text) == ("f", arguments, True)


def test_arguments_come_before_the_end() -> None:
    """As they are written."""
    assert read('"name": "f", "arguments": {"a') == ("f", '{"a', False)


@pytest.mark.parametrize(
    "text",
    [
        "}",
        "x",
        '"a" 1',
        '"name": {}',
        '"name": ""',
        '"name": ,',
        '"name": "\\x"',
        '"' + "k" * (MAX_NAME_LENGTH + 1),
        '"name": "f"} ',
        '"name": "f", "arguments": {}]',
    ],
)
def test_what_is_no_call_is_found_out(text: str) -> None:
    """At the first character that cannot be."""
    with pytest.raises(Malformed):
        read(text)
