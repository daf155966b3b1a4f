"""Takes the calls of tools out of a stream of text, however the stream was cut.

A call begins with the dialect's marker (``<tool_call>``) and a ``{``. Where a dialect has no marker
a reply is a call if it begins with an object that names one of the tools. Everything else is text:
a marker that no call follows, too. Text is held back while it may be the beginning of a marker, and
a call until its name is known; from then on its arguments come as they are written.

Spaces before a call, between calls and after the last one are layout and vanish. What is held of
them at a time is bounded.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from engine.tool_dialect import ToolDialect
from server.text.json_call import JsonCall, Malformed

MAX_HELD_SPACES = 64


class Words(msgspec.Struct, frozen=True, gc=False):
    """Text that is no call."""

    text: str


@dataclass(frozen=True, slots=True)
class CallBegun:
    """A call; the pieces up to its end belong to it."""

    name: str


@dataclass(frozen=True, slots=True)
class ArgumentsPiece:
    """More of the arguments' JSON."""

    text: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is over.

    Attributes:
        is_whole: It was written to its end; otherwise the arguments may be broken JSON.
    """

    is_whole: bool


ReplyPiece = Words | CallBegun | ArgumentsPiece | CallEnded


class _In(enum.Enum):
    TEXT = enum.auto()
    OPENING = enum.auto()  # after a marker
    CALL = enum.auto()
    AFTER = enum.auto()  # after a call, before what closes it
    REST = enum.auto()  # nothing more is wanted


class ToolCallParser:
    """Parses one reply.

    Args:
        dialect: How its model writes calls.
        names: Of the tools.
        single: Only the first call counts; what comes after it is dropped.
    """

    def __init__(
        self, dialect: ToolDialect, names: Collection[str], *, single: bool = False
    ) -> None:
        self._dialect = dialect
        self._names = frozenset(names)
        self._single = single or dialect.between is None
        self._in = _In.TEXT
        self._pieces: list[ReplyPiece] = []
        self._shown: list[str] = []  # text that is certain
        self._spaces = ""
        self._partial = ""  # the beginning of a marker, perhaps
        self._raw: list[str] = []  # from the marker on, until there is a name
        self._call: JsonCall | None = None
        self._is_list = False
        self._has_begun = False  # the call in the making was announced
        self._has_text = False  # since the beginning or the last call
        self._has_calls = False

    def feed(self, text: str) -> list[ReplyPiece]:
        """Take more of the reply; return what is certain now, in order."""
        marker = self._dialect.marker
        if self._in is _In.TEXT and not self._partial and self._is_plain(text, marker):
            self._read_words(text)
        else:
            self._read(text)
        return self._take()

    def finish(self) -> list[ReplyPiece]:
        """End the reply: what was held back is text after all, and an open call is cut off."""
        while self._in in (_In.OPENING, _In.CALL) and not self._has_begun:
            self._read(self._release())
        if self._in is _In.CALL:
            self._end_call(is_whole=False)
        elif self._in is _In.TEXT:
            spaces = "" if self._has_calls and not self._has_text else self._spaces
            self._shown.append(spaces + self._partial)
        self._in = _In.REST
        return self._take()

    def _is_plain(self, text: str, marker: str) -> bool:
        return marker[0] not in text if marker else self._has_text

    def _take(self) -> list[ReplyPiece]:
        if self._has_begun and self._call is not None:
            self._flush_arguments(self._call)
        self._flush_words()
        pieces, self._pieces = self._pieces, []
        return pieces

    def _flush_words(self) -> None:
        text = "".join(self._shown)
        self._shown.clear()
        if text:
            self._pieces.append(Words(text))

    def _flush_arguments(self, call: JsonCall) -> None:
        text = call.take_arguments()
        if text:
            self._pieces.append(ArgumentsPiece(text))

    def _read(self, text: str) -> None:
        """Read on; a stack of what is still to be read, because text may have to be read again."""
        waiting = [text]
        while waiting:
            for index, char in enumerate(text := waiting.pop()):
                again = self._step(char)
                if again:
                    waiting += [text[index + 1 :], again]
                    break

    def _step(self, char: str) -> str:
        """Take one character; return what has to be read again."""
        match self._in:
            case _In.TEXT:
                return self._step_text(char)
            case _In.OPENING:
                return self._step_opening(char)
            case _In.CALL:
                return self._step_call(char)
            case _In.AFTER:
                return self._step_after(char)
        return ""

    def _step_text(self, char: str) -> str:
        marker = self._dialect.marker
        if not marker:
            if char != "{" or self._has_text or self._has_calls:
                self._read_words(char)
                return ""
            self._in, self._raw, self._call = _In.OPENING, [], None
            return self._step_opening(char)
        partial = self._partial
        while partial and not marker.startswith(partial + char):
            self._read_words(partial[0])
            partial = partial[1:]
        self._partial = ""
        if not marker.startswith(partial + char):
            self._read_words(char)
        elif partial + char == marker:
            self._in, self._raw, self._is_list = _In.OPENING, [], False
        else:
            self._partial = partial + char
        return ""

    def _read_words(self, text: str) -> None:
        """Show words; spaces only before more words."""
        words = text.rstrip()
        if words:
            if not self._has_text and self._has_calls:
                self._spaces, words = "", words.lstrip()
            self._shown += [self._spaces, words]
            self._spaces = text[len(text.rstrip()) :]
            self._has_text = True
        else:
            self._spaces += text
        if len(self._spaces) > MAX_HELD_SPACES:
            if self._has_text or not self._has_calls:
                self._shown.append(self._spaces)
            self._spaces = ""

    def _step_opening(self, char: str) -> str:
        self._raw.append(char)
        if char == "{":
            self._call = JsonCall(self._dialect.name_key, self._dialect.arguments_key)
            self._in, self._has_begun = _In.CALL, False
        elif char == "[" and not self._is_list and self._dialect.marker:
            self._is_list = True
        elif not char.isspace() or len(self._raw) > MAX_HELD_SPACES:
            return self._release()
        return ""

    def _step_call(self, char: str) -> str:
        call = self._call
        assert call is not None
        if not self._has_begun:
            self._raw.append(char)
        try:
            call.feed(char)
        except Malformed:
            if not self._has_begun:
                return self._release()
            self._end_call(is_whole=False)
            self._in = _In.REST
            return ""
        if call.name is not None and not self._has_begun:
            if not self._dialect.marker and call.name not in self._names:
                return self._release()
            self._begin_call(call.name)
        if call.is_whole:
            self._end_call(is_whole=True)
        return ""

    def _begin_call(self, name: str) -> None:
        self._flush_words()
        self._spaces = ""
        self._raw = []
        self._has_begun = self._has_calls = True
        self._has_text = False
        self._pieces.append(CallBegun(name))

    def _end_call(self, *, is_whole: bool) -> None:
        assert self._call is not None
        self._flush_arguments(self._call)
        self._pieces.append(CallEnded(is_whole))
        self._call, self._has_begun = None, False
        self._in = _In.REST if self._single else _In.AFTER

    def _step_after(self, char: str) -> str:
        """Pass over what closes a call; anything else is the reply going on."""
        if self._is_list and char in ",]" and not self._partial:
            if char == "]":
                self._is_list = False
            else:
                self._in, self._raw = _In.OPENING, []
            return ""
        closing = self._partial + char
        if char.isspace() and not self._partial:
            return ""
        end = self._dialect.end_marker
        if end and end.startswith(closing):
            self._partial = closing
            if closing == end:
                self._partial, self._in = "", _In.TEXT
            return ""
        self._partial, self._in, self._is_list = "", _In.TEXT, False
        return closing

    def _release(self) -> str:
        """Let a marker without a call be text; what came after it is to be read again."""
        marker, raw = self._dialect.marker, "".join(self._raw)
        self._in, self._raw, self._call, self._is_list = _In.TEXT, [], None, False
        if marker:
            self._read_words(marker)
            return raw
        self._read_words(raw)
        self._has_text = True
        return ""
