"""How rooms that know what to ask a database speak to those that know how.

A *plan* is a generator: it yields what to ask, is sent the rows, and returns what came of it. So
what is kept, and where, is written once for all databases, and tells nothing of threads or sockets.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

Row = Sequence[Any]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Ask:
    """One statement, once for each row of parameters.

    Attributes:
        sql: For PostgreSQL, in words that SQLite has as well; parameters are ``$1``, ``$2``, …
        params: One answer follows the other.
    """

    sql: str
    params: Sequence[Row]


Plan = Generator[Ask, list[Row], Result]


def key(text: str) -> bytes:
    """A text as it is stored: as bytes, because PostgreSQL's own text cannot hold every character.

    Half a surrogate is let through: nothing of that name was ever kept.
    """
    return text.encode("utf-8", "surrogatepass")
