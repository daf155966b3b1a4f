"""Which tags a character has, how its model is held to them, and what the model is told of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from server.errors import InvalidValue, LimitExceeded, shorten

TagMode = Literal["enforced", "prompt", "off"]
"""The sampler sees to tags and their places; the model is told of them; brackets are text."""
Every = Literal["segment", "reply"]
"""What must begin with a tag in enforced mode."""

MAX_TAG_NAMES = 64
"""Of faces, and of motions."""
TAG_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRules:
    """What tags there are in a reply, and who sees to it.

    Attributes:
        expressions: Faces, as ``check_tag_names`` lets them pass.
        motions: Likewise.
        mode: How the model is held to them. A reply that may call tools, or whose text has a form,
            is not held to tags by the sampler: ``enforced`` is ``prompt`` there.
        every: What must begin with a tag in enforced mode.
    """

    expressions: tuple[str, ...] = ()
    motions: tuple[str, ...] = ()
    mode: TagMode = "prompt"
    every: Every = "segment"

    @property
    def has_tags(self) -> bool:
        """Whether anything is looked for in what the model writes."""
        return self.mode != "off" and bool(self.expressions or self.motions)

    @property
    def is_enforced(self) -> bool:
        """Whether the sampler sees to it, where it can."""
        return self.mode == "enforced" and self.has_tags

    @property
    def shown_expressions(self) -> tuple[str, ...]:
        """Faces to look for."""
        return self.expressions if self.has_tags else ()

    @property
    def shown_motions(self) -> tuple[str, ...]:
        """Motions to look for."""
        return self.motions if self.has_tags else ()


def check_tag_names(names: Sequence[str], param: str) -> tuple[str, ...]:
    """Check what a client declares.

    Args:
        names: Faces or motions.
        param: Where they stand, for messages.

    Raises:
        ProtocolError: There are too many, one cannot stand in a tag, or two differ in case alone.
    """
    if len(names) > MAX_TAG_NAMES:
        raise LimitExceeded(
            f"the number of names in {param}", len(names), MAX_TAG_NAMES, "send fewer", param=param
        )
    seen: set[str] = set()
    for index, name in enumerate(names):
        path = f"{param}[{index}]"
        if not TAG_NAME.fullmatch(name):
            raise InvalidValue(
                path,
                f"{path} is {shorten(name)}; a name is a letter and up to 31 letters, digits, "
                "'-' or '_'",
            )
        if name.lower() in seen:
            raise InvalidValue(path, f"{path} is {shorten(name)}, which is there twice; rename one")
        seen.add(name.lower())
    return tuple(names)


def tag_instructions(rules: TagRules, persona: str = "") -> str:
    """Return what the model is told of its tags; empty if it knows them, or has none.

    The text depends on the rules alone, so that prompts which share them share their beginning.

    Args:
        rules: The character's.
        persona: Its prompt. One that writes a declared tag in brackets knows of tags.
    """
    if not rules.has_tags or _names_a_tag(persona, rules):
        return ""
    where = "each reply" if rules.every == "reply" else "each sentence"
    parts = []
    if rules.expressions:
        faces = _listed(f"[{name}]" for name in rules.expressions)
        parts.append(
            f"Begin {where} with a tag in square brackets that shows your face: {faces}. "
            f"A number makes it weaker, as in [{rules.expressions[0]}:0.5]."
        )
    if rules.motions:
        motions = _listed(f"[motion:{name}]" for name in rules.motions)
        begin = "When you move, write" if rules.expressions else f"Begin {where} with a movement,"
        parts.append(f"{begin} one of these tags: {motions}.")
    parts.append("Write no other square brackets, and never speak of the tags.")
    return " ".join(parts)


def _names_a_tag(persona: str, rules: TagRules) -> bool:
    text = persona.lower()
    return any(f"[{name.lower()}]" in text for name in rules.expressions) or any(
        f"[motion:{name.lower()}]" in text for name in rules.motions
    )


def _listed(tags: Iterable[str]) -> str:
    return ", ".join(tags)
