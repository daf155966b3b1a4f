"""What the readers of all formats share: lines, fields, numbers, and complaints that name them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from clients.replay.script import ScriptError

Note = Callable[[str], None]
"""Told what a reader had to leave out; one sentence each."""

MAX_RECORDS = 2_000_000
"""More would not fit into the memory of an ordinary client machine."""

MAX_TOKENS = 10_000_000
"""Of one prompt or reply; no model takes so many, and words of more would fill the memory."""

_MAX_NUMBER = 1e15
_SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a trace.

    Attributes:
        where: File and line, for complaints.
        fields: What it says.
    """

    where: str
    fields: dict[str, Any]

    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        least: float = 0.0,
        most: float = _MAX_NUMBER,
    ) -> float:
        """Return a number that has to be at least ``least`` and at most ``most``.

        Raises:
            ScriptError: It is missing without a default, no number, or too small or large.
        """
        value = self.fields.get(key)
        value = default if value is None else value
        try:
            number = float("nan" if value is None or isinstance(value, bool) else value)
        except (TypeError, ValueError, OverflowError):
            number = float("nan")
        if not least <= number <= most:
            raise ScriptError(
                f"{self.where}: {key} is {shown(value)}; it must be a number from {least:g} to "
                f"{most:.0f}"
            )
        return number

    def whole(self, key: str, default: int | None = None, *, least: int = 0) -> int:
        """Return a whole number; digits behind the point are cut off."""
        return int(self.number(key, default, least=least))

    def tokens(self, key: str, default: int | None = None, *, least: int = 0) -> int:
        """Return the length of a prompt or reply."""
        return int(self.number(key, default, least=least, most=MAX_TOKENS))

    def text(self, key: str, default: str = "") -> str:
        """Return a string.

        Raises:
            ScriptError: It is something else.
        """
        value = self.fields.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise ScriptError(f"{self.where}: {key} is {shown(value)}; it must be a string")
        return sound(value)

    def name(self, key: str, default: str = "") -> str:
        """Return an id, which may be written as a string or as a number."""
        value = self.fields.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise ScriptError(
                f"{self.where}: {key} is {shown(value)}; it must be a string or a whole number"
            )
        return sound(str(value))

    def hash_ids(self) -> tuple[int, ...]:
        """Return the ids of shared blocks; none where the record names none."""
        ids = self.fields.get("hash_ids")
        if ids is None:
            return ()
        if not isinstance(ids, list) or not all(type(one) is int for one in ids):
            raise ScriptError(
                f"{self.where}: 'hash_ids' must be a list of whole numbers, not {shown(ids)}"
            )
        return tuple(ids)

    def objects(self, key: str, label: str) -> list[Record]:
        """Return a list of objects as records of their own, called ``label`` 1, 2, ….

        Raises:
            ScriptError: It is no list, it is empty, or something else than an object is in it.
        """
        items = self.fields.get(key)
        if not isinstance(items, list) or not items:
            raise ScriptError(f"{self.where}: '{key}' must be a list that is not empty")
        return [as_record(item, f"{self.where}, {label} {n}") for n, item in enumerate(items, 1)]

    def refuse_others(self, known: frozenset[str]) -> None:
        """Refuse fields that nobody reads, so that a misspelt one does not pass in silence."""
        for key in self.fields:
            if key not in known:
                raise ScriptError(
                    f"{self.where}: there is no field {shown(key)}; there are "
                    + ", ".join(sorted(known))
                )


def sound(text: str) -> str:
    """Replace halves of letters, which JSON can hold and no server would take."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def shown(value: object) -> str:
    """Show a value in a complaint, never longer than a line."""
    text = repr(value[: _SHOWN_CHARS + 1] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 3] + "..."


def as_record(value: Any, where: str) -> Record:
    """Take a JSON value as a record.

    Raises:
        ScriptError: It is no object.
    """
    if not isinstance(value, dict):
        raise ScriptError(f"{where}: it must be an object, not {shown(value)}")
    return Record(where, value)


def json_value(text: str, where: str) -> Any:
    """Parse JSON.

    Raises:
        ScriptError: It is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ScriptError(f"{where}: no JSON ({error})") from None


def json_lines(text: str, name: str) -> Iterator[Record]:
    """Yield the object of every line that is not empty; lines count from 1."""
    for number, line in enumerate(io.StringIO(text), start=1):
        if line.strip():
            where = f"{name}, line {number}"
            yield as_record(json_value(line, where), where)


def csv_rows(text: str, name: str, columns: tuple[str, ...]) -> Iterator[Record]:
    """Yield the rows of a table below its heading; empty lines are passed over.

    Raises:
        ScriptError: A column is missing, in the heading or in a row.
    """
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    headings: list[str] = []
    try:
        for row in reader:
            where = f"{name}, line {reader.line_num}"
            if not any(cell.strip() for cell in row):
                continue
            if not headings:
                headings = [heading.strip() for heading in row]
                _check_headings(headings, columns, where)
            elif len(row) != len(headings):
                raise ScriptError(
                    f"{where}: the heading has {len(headings)} columns, and this row has "
                    f"{len(row)}; the file may have been cut off here: delete the row"
                )
            else:
                yield Record(where, dict(zip(headings, row, strict=True)))
    except csv.Error as error:
        raise ScriptError(f"{name}, line {reader.line_num}: no CSV ({error})") from None


def _check_headings(headings: list[str], columns: tuple[str, ...], where: str) -> None:
    for column in columns:
        if column not in headings:
            raise ScriptError(
                f"{where}: there is no column {column!r}, but {shown(', '.join(headings))}"
            )
