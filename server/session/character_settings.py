"""Who speaks in a session and how it is performed; ``session.character`` changes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import msgspec
from msgspec import UNSET, UnsetType

from server.cards.read import read_card
from server.characters.card_file import character_from_card
from server.characters.character import VRM_EXPRESSIONS, Character
from server.characters.persona import Persona, read_group, read_persona
from server.errors import CardError, InvalidValue, LimitExceeded, ProtocolError, shorten
from server.protocol.character_events import CharacterExpression, CharacterMotion, event_name
from server.protocol.character_objects import (
    CharacterPatch,
    ProactiveSetting,
    SegmentSetting,
    TagSetting,
    VisemeSetting,
)
from server.session.delivery import Show
from server.speech.mouth import Scheme
from server.speech.segmenter import SegmentRules
from server.text.tag_rules import Every, TagMode, TagRules, check_tag_names, tag_instructions

FindCharacter = Callable[[str], Character | None]
"""Looks a character up by its id."""

MAX_GROUP = 16
MAX_USER_NAME = 64
MIN_IDLE_MS, MAX_IDLE_MS = 1_000, 24 * 3600 * 1000
MAX_PER_HOUR = 120

_PATH = "session.character"
_SHOWN = frozenset(event_name(kind) for kind in (CharacterExpression, CharacterMotion))


@dataclass(frozen=True, slots=True, kw_only=True)
class CharacterSettings:
    """Values are changed by making new ones.

    Attributes:
        characters: Whoever is in the room, the first of them the session's own; none for the bare
            model.
        seed: Of everything that a card leaves to chance.
        user_name: What ``{{user}}`` stands for; empty for a usual word.
        greeting_index: Which greeting is said.
        has_lore: Whether lore comes up.
        expressions: The client's faces; ``None`` for the character's own.
        motions: The client's.
        tag_mode: ``None`` enforces tags where somebody sees them.
        tag_every: What begins with a tag in enforced mode.
        rules: How replies are cut.
        scheme: Which mouth is drawn.
        proactive: Speech that nobody asked for; ``None`` for none.
        persona: The characters as this session reads them.
    """

    characters: tuple[Character, ...] = ()
    seed: int = 0
    user_name: str = ""
    greeting_index: int = 0
    has_lore: bool = True
    expressions: tuple[str, ...] | None = None
    motions: tuple[str, ...] = ()
    tag_mode: TagMode | None = None
    tag_every: Every = "segment"
    rules: SegmentRules = SegmentRules()
    scheme: Scheme = "vrm1"
    proactive: ProactiveSetting | None = None
    persona: Persona | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Read the characters."""
        persona = None
        if len(self.characters) > 1:
            persona = read_group(self.characters, user_name=self.user_name, seed=self.seed)
        elif self.characters:
            character = self.characters[0]
            persona = read_persona(character, user_name=self.user_name, seed=self.seed)
        object.__setattr__(self, "persona", persona)

    @property
    def character(self) -> Character | None:
        """The session's own; ``None`` for the bare model."""
        return self.characters[0] if self.characters else None

    @property
    def is_group(self) -> bool:
        """Whether several are in the room."""
        return len(self.characters) > 1

    def speaker(self, character_id: str) -> Character:
        """Somebody of the room.

        Raises:
            InvalidValue: Nobody there has this id.
        """
        for character in self.characters:
            if character.id == character_id:
                return character
        here = ", ".join(character.id for character in self.characters) or "nobody"
        raise InvalidValue(
            "response.character_id",
            f"response.character_id is {shorten(character_id)}; in the room: {here}",
        )

    def tags(self, granted: frozenset[str]) -> TagRules:
        """Which tags there are, and how the model is held to them.

        Args:
            granted: Names of the extension events that the client gets.
        """
        is_seen = self._is_seen(granted)
        names = (name for character in self.characters for name in character.expressions)
        own = tuple(dict.fromkeys(names))
        if self.takes_faces_out:
            return TagRules(expressions=own)
        if not self.characters and is_seen:
            own = VRM_EXPRESSIONS
        mode = self.tag_mode or ("enforced" if is_seen else "prompt")
        return TagRules(
            expressions=own if self.expressions is None else self.expressions,
            motions=self.motions,
            mode=mode,
            every=self.tag_every,
        )

    def _is_seen(self, granted: frozenset[str]) -> bool:
        """Whether the client does something with faces or motions."""
        return bool(granted & _SHOWN) or self.expressions is not None or bool(self.motions)

    @property
    def takes_faces_out(self) -> bool:
        """Whether the client wants no faces: those that the model writes all the same are lost."""
        return self.expressions == () and not self.motions and self.tag_mode != "off"

    def show(self, granted: frozenset[str]) -> Show:
        """What a client sees of a reply that begins now."""
        return Show(
            events=granted,
            tags=self.tags(granted),
            rules=self.rules,
            scheme=self.scheme,
            tells_faces=not self.takes_faces_out,
        )

    def head(self, granted: frozenset[str]) -> str:
        """What the model reads first: the persona, and of tags what it has to know.

        Where nobody sees tags, nothing is told of them; a model that writes them all the same is
        cleaned after.
        """
        persona = self.persona.head if self.persona else ""
        is_seen = self._is_seen(granted) or self.tag_mode is not None
        matters = is_seen and not self.takes_faces_out
        told = tag_instructions(self.tags(granted), persona) if matters else ""
        return "\n\n".join(text for text in (persona, told) if text)

    def with_patch(self, patch: CharacterPatch, find: FindCharacter) -> CharacterSettings:
        """Apply ``session.character``.

        Raises:
            ProtocolError: A field is refused; nothing is applied.
        """
        changes: dict[str, Any] = {}
        _choose_characters(changes, patch, find, self.characters)
        if patch.user_name is not UNSET:
            changes["user_name"] = _user_name(patch.user_name or "")
        if patch.greeting_index is not UNSET:
            changes["greeting_index"] = patch.greeting_index or 0
        if patch.lore is not UNSET:
            changes["has_lore"] = patch.lore is not False
        if patch.expressions is not UNSET:
            changes["expressions"] = _names(patch.expressions, "expressions")
        if patch.motions is not UNSET:
            changes["motions"] = _names(patch.motions, "motions") or ()
        if patch.tags is not UNSET:
            changes |= _tags(patch.tags or TagSetting())
        if patch.tag_dialect not in (UNSET, None, "strip"):
            raise InvalidValue(
                f"{_PATH}.tag_dialect",
                f"{_PATH}.tag_dialect is {shorten(patch.tag_dialect)}; here tags come as events "
                "and text is always clean ('strip'); other dialects are for chat completions",
            )
        if patch.segment is not UNSET:
            changes["rules"] = _rules(patch.segment or SegmentSetting())
        if patch.visemes is not UNSET:
            changes["scheme"] = _scheme(patch.visemes)
        if patch.proactive is not UNSET:
            changes["proactive"] = _proactive(patch.proactive)
        changed = replace(self, **changes) if changes else self
        changed.check_greeting(f"{_PATH}.greeting_index", changed.greeting_index)
        return changed

    def check_greeting(self, param: str, index: int) -> None:
        """Find out whether there is such a greeting.

        Raises:
            InvalidValue: There is not.
        """
        num_greetings = len(self.persona.greetings) if self.persona else 0
        if not 0 <= index < max(1, num_greetings):
            raise InvalidValue(
                param, f"{param} is {index}; there are {num_greetings} greetings, counted from 0"
            )


def _choose_characters(
    changes: dict[str, Any],
    patch: CharacterPatch,
    find: FindCharacter,
    before: tuple[Character, ...],
) -> None:
    named = [
        name
        for name in ("id", "card", "group")
        if getattr(patch, name) is not UNSET and getattr(patch, name) is not None
    ]
    if len(named) > 1:
        raise InvalidValue(
            f"{_PATH}.{named[1]}",
            f"{_PATH}.{named[0]} and .{named[1]} are both given; choose one",
        )
    if isinstance(patch.id, str):
        changes["characters"] = (_find(patch.id, f"{_PATH}.id", find),)
    elif isinstance(patch.card, dict):
        changes["characters"] = (_read_card(patch.card),)
    elif isinstance(patch.group, list):
        if not 1 <= len(patch.group) <= MAX_GROUP:
            raise LimitExceeded(
                "the number of characters in a room",
                len(patch.group),
                MAX_GROUP,
                "name from one to so many",
                param=f"{_PATH}.group",
            )
        if len(set(patch.group)) < len(patch.group):
            raise InvalidValue(f"{_PATH}.group", f"{_PATH}.group names somebody twice")
        changes["characters"] = tuple(
            _find(name, f"{_PATH}.group[{index}]", find) for index, name in enumerate(patch.group)
        )
    elif patch.group is None and len(before) > 1:
        changes["characters"] = before[:1]
    if "characters" in changes:
        changes["greeting_index"] = 0


def _find(character_id: str, param: str, find: FindCharacter) -> Character:
    character = find(character_id)
    if character is None:
        raise InvalidValue(
            param,
            f"{param} is {shorten(character_id)}; there is no such character, see "
            "GET /v1/characters",
        )
    return character


def _read_card(card: dict[str, Any]) -> Character:
    param = f"{_PATH}.card"
    try:
        return character_from_card(read_card(msgspec.json.encode(card), file=param), id="card")
    except CardError as error:
        raise ProtocolError(error.code, str(error), param=param) from None


def _user_name(name: str) -> str:
    name = " ".join(name.split())
    if len(name) > MAX_USER_NAME:
        raise LimitExceeded(
            "the length of the user's name",
            len(name),
            MAX_USER_NAME,
            "send a shorter one",
            param=f"{_PATH}.user_name",
        )
    return name


def _names(names: list[str] | None, field_name: str) -> tuple[str, ...] | None:
    return None if names is None else check_tag_names(names, f"{_PATH}.{field_name}")


def _tags(setting: TagSetting) -> dict[str, Any]:
    return {
        "tag_mode": _one_of(setting.mode, get_args(TagMode), f"{_PATH}.tags.mode", None),
        "tag_every": _one_of(setting.every, get_args(Every), f"{_PATH}.tags.every", "segment"),
    }


def _one_of(value: str | None, known: tuple[str, ...], param: str, default: Any) -> Any:
    if value is None:
        return default
    if value not in known:
        raise InvalidValue(
            param, f"{param} is {shorten(value)}; it must be one of {', '.join(known)}"
        )
    return value


def _rules(setting: SegmentSetting) -> SegmentRules:
    """What is left out is as usual."""
    named = msgspec.structs.asdict(setting)
    if setting.langs is not None:
        named["langs"] = tuple(setting.langs)
    return SegmentRules(**{name: value for name, value in named.items() if value is not None})


def _scheme(setting: VisemeSetting | None | UnsetType) -> Any:
    wanted = setting.scheme if isinstance(setting, VisemeSetting) else None
    return _one_of(wanted, get_args(Scheme), f"{_PATH}.visemes.scheme", "vrm1")


def _proactive(setting: ProactiveSetting | None | UnsetType) -> ProactiveSetting | None:
    if not isinstance(setting, ProactiveSetting) or setting.idle_ms is None:
        return None
    param = f"{_PATH}.proactive"
    if not MIN_IDLE_MS <= setting.idle_ms <= MAX_IDLE_MS:
        raise InvalidValue(
            f"{param}.idle_ms",
            f"{param}.idle_ms is {setting.idle_ms}; it must be {MIN_IDLE_MS} to {MAX_IDLE_MS}",
        )
    if not 1 <= setting.max_per_hour <= MAX_PER_HOUR:
        raise InvalidValue(
            f"{param}.max_per_hour",
            f"{param}.max_per_hour is {setting.max_per_hour}; it must be 1 to {MAX_PER_HOUR}",
        )
    if len(setting.instructions.encode()) > 4096:
        raise LimitExceeded(
            "the size of the proactive instructions in bytes",
            len(setting.instructions.encode()),
            4096,
            "send less",
            param=f"{param}.instructions",
        )
    return setting
