"""Reads one call, a JSON object with a name and arguments, character by character.

Lenient where models are sloppy: members may come in any order, others are passed over, spaces may
stand anywhere, and arguments may be missing, ``null``, or JSON inside a string. What is handed on
as arguments is the model's own text; only a grammar can promise that it is valid.
"""

from __future__ import annotations

import enum
import json

MAX_NAME_LENGTH = 256
"""Characters; a longer name is no name."""

_SPACE = " \t\r\n"


class Malformed(Exception):
    """This is no call."""


class _At(enum.Enum):
    MEMBER = enum.auto()
    KEY = enum.auto()
    COLON = enum.auto()
    VALUE = enum.auto()
    STRING = enum.auto()
    NESTED = enum.auto()
    SCALAR = enum.auto()
    END = enum.auto()


class JsonCall:
    """One call, from the character after its ``{`` to its ``}``.

    Attributes:
        name: ``None`` until it is known.
        is_whole: Its last character has come.
    """

    __slots__ = (
        "_arguments_key",
        "_at",
        "_depth",
        "_has_arguments",
        "_is_escaped",
        "_is_quoted",
        "_key",
        "_name_key",
        "_ready",
        "_text",
        "is_whole",
        "name",
    )

    def __init__(self, name_key: str, arguments_key: str) -> None:
        self.name: str | None = None
        self.is_whole = False
        self._name_key = name_key
        self._arguments_key = arguments_key
        self._at = _At.MEMBER
        self._key = ""
        self._text: list[str] = []  # of the key or value that is being read
        self._ready: list[str] = []  # arguments that nobody has taken
        self._has_arguments = False
        self._depth = 0
        self._is_quoted = False
        self._is_escaped = False

    def take_arguments(self) -> str:
        """What has come of the arguments since the last time."""
        text = "".join(self._ready)
        self._ready.clear()
        return text

    def feed(self, char: str) -> None:
        """Read the next character.

        Raises:
            Malformed: It cannot be here.
        """
        match self._at:
            case _At.MEMBER:
                self._begin_member(char)
            case _At.KEY | _At.STRING:
                self._read_string(char)
            case _At.COLON:
                if char == ":":
                    self._at = _At.VALUE
                elif char not in _SPACE:
                    raise Malformed
            case _At.VALUE:
                self._begin_value(char)
            case _At.NESTED:
                self._read_nested(char)
            case _At.SCALAR:
                if char in ",}" or char in _SPACE:
                    self._end_scalar()
                    self._begin_member(char)
                else:
                    self._text.append(char)
            case _At.END:
                raise Malformed

    def _begin_member(self, char: str) -> None:
        if char == '"':
            self._at, self._text = _At.KEY, []
        elif char == "}":
            if self.name is None:
                raise Malformed
            if not self._has_arguments:
                self._ready.append("{}")
            self._at, self.is_whole = _At.END, True
        elif char != "," and char not in _SPACE:
            raise Malformed

    def _begin_value(self, char: str) -> None:
        if char in _SPACE:
            return
        self._text = []
        is_arguments = self._key == self._arguments_key
        if char == '"':
            self._at = _At.STRING
        elif self._key == self._name_key or char in ",}]:":
            raise Malformed
        elif char in "{[":
            self._at, self._depth = _At.NESTED, 1
            self._is_quoted = self._is_escaped = False
            if is_arguments:
                self._has_arguments = True
                self._ready.append(char)
        else:
            self._at = _At.SCALAR
            self._text.append(char)

    def _read_string(self, char: str) -> None:
        if char != '"' or self._is_escaped:
            self._is_escaped = char == "\\" and not self._is_escaped
            self._text.append(char)
            is_name = self._at is _At.KEY or self._key == self._name_key
            if is_name and len(self._text) > MAX_NAME_LENGTH:
                raise Malformed
            return
        try:
            text = json.loads(f'"{"".join(self._text)}"', strict=False)
        except ValueError:
            raise Malformed from None
        if self._at is _At.KEY:
            self._key, self._at = text, _At.COLON
            return
        self._at = _At.MEMBER
        if self._key == self._name_key and self.name is None:
            if not text:
                raise Malformed
            self.name = text
        elif self._key == self._arguments_key and not self._has_arguments:
            self._has_arguments = True
            self._ready.append(text or "{}")

    def _read_nested(self, char: str) -> None:
        if self._key == self._arguments_key:
            self._ready.append(char)
        if self._is_quoted:
            if char == '"' and not self._is_escaped:
                self._is_quoted = False
            self._is_escaped = char == "\\" and not self._is_escaped
        elif char == '"':
            self._is_quoted, self._is_escaped = True, False
        elif char in "{[":
            self._depth += 1
        elif char in "}]":
            self._depth -= 1
            if not self._depth:
                self._at = _At.MEMBER

    def _end_scalar(self) -> None:
        self._at = _At.MEMBER
        text = "".join(self._text)
        if self._key == self._arguments_key and not self._has_arguments and text != "null":
            self._has_arguments = True
            self._ready.append(text)
