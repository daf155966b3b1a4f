"""A character card: its whole JSON as it was written, and what this server reads of it.

This is the one place that says which fields a model may read; all others are for people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from server.cards.fields import NOTHING, read_table, read_text, read_texts, too_many
from server.cards.lorebook import Lorebook, read_book
from server.cards.png import Png
from server.errors import CardError, CardErrorCode, shorten

Container = Literal["json", "png", "apng", "charx"]

V1_FIELDS = ("name", "description", "personality", "scenario", "first_mes", "mes_example")
"""All fields of V1, and the same of every later version."""

PROMPT_TEXTS = (
    "name",
    "nickname",
    "description",
    "personality",
    "scenario",
    "first_mes",
    "mes_example",
    "system_prompt",
    "post_history_instructions",
)
PROMPT_FIELDS = (
    *PROMPT_TEXTS,
    "alternate_greetings",
    "group_only_greetings",
    "character_book",
)
"""All that a model may ever read of a card, and of its book the entries' contents.

Everything else stays out: ``creator_notes`` "MUST NOT be used inside prompts", nor may ``creator``,
``character_version`` and ``tags`` (V2); nor do notes in other languages, sources, dates, assets'
names, comments and extensions (V3).
"""

MAX_ASSETS = 2_000

_SPEC = re.compile(r"chara_card_v([2-9])")
_NEWEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """Something that belongs to the character: an icon, a face, a background.

    Attributes:
        type: ``icon``, ``background``, ``user_icon``, ``emotion``, ``other`` or ``x_…``.
        uri: ``embeded://path``, ``__asset:path``, ``ccdefault:``, ``data:…`` or an address.
        name: Which of its type; ``main`` for the one that stands for all.
        ext: Of its file, in lower case and without a dot.
    """

    type: str
    uri: str
    name: str = ""
    ext: str = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One card, complete; nothing in it changes.

    Texts are as they were written, macros and all. ``PROMPT_FIELDS`` says which are for models.

    Attributes:
        raw: The whole JSON object, unknown fields and all; never to be changed.
        version: 1, 2 or 3; what is newer is read as 3.
        spec_version: As it was written, empty for V1.
        container: Of the file that it was read from.
        picture: The PNG that it came in, without the card's own texts.
        files: Embedded files by path: a CHARX's members, a PNG's ``chara-ext-asset_:`` texts.
        name: Never empty.
        book: The character's lore, if it has any.
    """

    raw: Mapping[str, Any]
    version: int
    spec_version: str
    container: Container
    picture: Png | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    name: str
    nickname: str = ""
    description: str = ""
    personality: str = ""
    scenario: str = ""
    first_mes: str = ""
    mes_example: str = ""
    system_prompt: str = ""
    post_history_instructions: str = ""
    alternate_greetings: tuple[str, ...] = ()
    group_only_greetings: tuple[str, ...] = ()
    creator: str = ""
    creator_notes: str = ""
    character_version: str = ""
    tags: tuple[str, ...] = ()
    extensions: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    assets: tuple[Asset, ...] = ()
    book: Lorebook | None = None

    @property
    def char_name(self) -> str:
        """What ``{{char}}`` stands for: the nickname, or else the name (V3, ``nickname``)."""
        return self.nickname.strip() or self.name.strip()

    @property
    def greetings(self) -> tuple[str, ...]:
        """First message and alternatives, by the index that ``@@is_greeting`` means."""
        greetings = (self.first_mes, *self.alternate_greetings)
        return greetings if any(text.strip() for text in greetings) else ()

    @property
    def group_greetings(self) -> tuple[str, ...]:
        """Further greetings where several characters speak."""
        return self.group_only_greetings

    @property
    def is_newer(self) -> bool:
        """Whether it is of a version that this server does not know; people should be told."""
        try:
            return float(self.spec_version or 0) > _NEWEST
        except ValueError:
            return False

    def text(self, name: str) -> str:
        """Return one of ``PROMPT_TEXTS`` by its name, for whoever builds a prompt.

        Raises:
            KeyError: The field is not for prompts, or is no single text.
        """
        if name not in PROMPT_TEXTS:
            raise KeyError(name)
        return str(getattr(self, name))


def make_card(
    raw: Mapping[str, Any],
    *,
    container: Container,
    picture: Png | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Card:
    """Read all known fields of a card's JSON.

    Args:
        raw: Kept, not copied.
        container: Of the file.
        picture: Without the card's own texts.
        files: By checked path.

    Raises:
        CardError: ``card_no_data``, ``card_bad_field``, ``card_too_large`` or
            ``card_too_many_entries``, by dotted path.
    """
    version = find_version(raw)
    data: Mapping[str, Any] = raw if version == 1 else raw["data"]
    path = "" if version == 1 else "data."
    texts = {
        name: read_text(data, name, path)
        for name in (*PROMPT_TEXTS, "creator", "creator_notes", "character_version")
    }
    if not texts["name"].strip():
        raise CardError(
            CardErrorCode.BAD_FIELD, "must be there and not be empty", key=f"{path}name"
        )
    book = read_table(data, "character_book", path)
    return Card(
        raw=raw,
        version=version,
        spec_version="" if version == 1 else read_text(raw, "spec_version", ""),
        container=container,
        picture=picture,
        files=dict(files or {}),
        **texts,
        alternate_greetings=read_texts(data, "alternate_greetings", path),
        group_only_greetings=read_texts(data, "group_only_greetings", path),
        tags=read_texts(data, "tags", path, commas=True),
        extensions=read_table(data, "extensions", path),
        assets=_read_assets(data, path),
        book=read_book(book, path=f"{path}character_book") if book else None,
    )


def find_version(raw: Mapping[str, Any]) -> int:
    """Tell a card's version by its shape; newer ones count as 3.

    Raises:
        CardError: ``card_no_data`` or ``card_bad_field``: it is no card.
    """
    spec = raw.get("spec")
    known = _SPEC.fullmatch(spec) if isinstance(spec, str) else None
    data = raw.get("data")
    if known is not None:
        if not isinstance(data, Mapping):
            raise CardError(CardErrorCode.BAD_FIELD, "must be an object", key="data")
        return min(int(known.group(1)), _NEWEST)
    if isinstance(spec, str) and spec != "chara_card_v1":
        what = "a lorebook" if spec.startswith("lorebook") else f"of the kind {shorten(spec)}"
        raise CardError(
            CardErrorCode.NO_DATA, f"the JSON is {what}, and a card was expected", key="spec"
        )
    if isinstance(data, Mapping) and "name" in data:
        return 2
    if any(name in raw for name in V1_FIELDS):
        return 1
    raise CardError(
        CardErrorCode.NO_DATA,
        "the JSON is no character card: it has no name, neither in itself nor in data",
    )


def _read_assets(data: Mapping[str, Any], path: str) -> tuple[Asset, ...]:
    listed = data.get("assets")
    if listed is None:
        return ()
    if not isinstance(listed, list):
        raise CardError(CardErrorCode.BAD_FIELD, "must be a list of assets", key=f"{path}assets")
    if len(listed) > MAX_ASSETS:
        raise too_many(f"{path}assets", len(listed), MAX_ASSETS)
    assets: list[Asset] = []
    for index, raw in enumerate(listed):
        where = f"{path}assets[{index}]"
        if not isinstance(raw, Mapping):
            raise CardError(CardErrorCode.BAD_FIELD, "must be an object", key=where)
        uri = raw.get("uri")
        # A picture in a data URL may be larger than any text for a prompt.
        if not isinstance(uri, str | None):
            raise CardError(CardErrorCode.BAD_FIELD, "must be a string", key=f"{where}.uri")
        assets.append(
            Asset(
                type=read_text(raw, "type", f"{where}."),
                uri=uri or "",
                name=read_text(raw, "name", f"{where}."),
                ext=read_text(raw, "ext", f"{where}.") or "unknown",
            )
        )
    return tuple(assets)
