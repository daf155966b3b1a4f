"""A character card: its whole JSON as it was written, and what this server reads of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from server.cards.book import read_book
from server.cards.fields import Fields
from server.cards.lorebook import Lorebook
from server.cards.png import Png

Container = Literal["json", "png", "charx"]
V1_FIELDS = ("name", "description", "personality", "scenario", "first_mes", "mes_example")

PROMPT_FIELDS = (
    "system_prompt",
    "name",
    "nickname",
    "description",
    "personality",
    "scenario",
    "mes_example",
    "first_mes",
    "alternate_greetings",
    "group_only_greetings",
    "post_history_instructions",
    "character_book",
)
"""All that a model may ever read of a card. Notes of the creator, tags, sources and dates are for
people (Character Card V2: they "MUST NOT" be in the prompt)."""


@dataclass(frozen=True)
class Card:
    """One card; nothing in it changes.

    Attributes:
        raw: The JSON object, unknown fields and all.
        version: 1, 2 or 3; a newer one is read as 3.
        file: Where it came from, for messages.
        container: What it came in.
        picture: The PNG that it came in, the card's own texts included; ``None`` for none.
        assets: Files that came with it, by path.
        original: The file as it came; empty for a card that was made here.
    """

    raw: Mapping[str, Any]
    version: int
    file: str = "card"
    container: Container = "json"
    picture: Png | None = None
    assets: Mapping[str, bytes] = field(default_factory=dict)
    original: bytes = b""

    @cached_property
    def data(self) -> Fields:
        """The object that holds the fields."""
        whole = Fields(self.raw, self.file)
        return whole if self.version == 1 else whole.inner("data")

    @property
    def name(self) -> str:
        """The character's."""
        return self.data.text("name").strip()

    @property
    def char_name(self) -> str:
        """What ``{{char}}`` stands for: the nickname, where there is one."""
        return self.data.text("nickname").strip() or self.name

    def text(self, name: str) -> str:
        """A field that the prompt may hold.

        Raises:
            KeyError: It may not; see ``PROMPT_FIELDS``.
        """
        if name not in PROMPT_FIELDS:
            raise KeyError(name)
        return self.data.text(name)

    @property
    def greetings(self) -> tuple[str, ...]:
        """The first message and its alternatives."""
        first = self.data.text("first_mes")
        return ((first,) if first else ()) + self.data.texts("alternate_greetings")

    @property
    def group_greetings(self) -> tuple[str, ...]:
        """Greetings for rooms of several."""
        return self.data.texts("group_only_greetings")

    @cached_property
    def book(self) -> Lorebook | None:
        """What the character knows."""
        raw = self.data.mapping("character_book")
        path = f"{self.data.path}character_book."
        return read_book(raw, file=self.file, path=path) if raw else None

    @property
    def extensions(self) -> Mapping[str, Any]:
        """What applications keep for themselves."""
        return self.data.mapping("extensions")

    def check(self) -> None:
        """Read all that is ever read, so that nothing fails later.

        Raises:
            CardError: The first thing that cannot be read.
        """
        for name in ("name", "nickname", "description", "personality", "scenario", "mes_example"):
            self.data.text(name)
        for name in ("system_prompt", "post_history_instructions"):
            self.data.text(name)
        _ = (self.greetings, self.group_greetings, self.book, self.extensions)
        if not self.name:
            raise self.data.error("name", "must be there and not be empty")
