"""Turn compact templates into text: random choices, speaking styles and slots."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

STYLES = ("polite", "casual", "energetic")
"""Ways of speaking; a template may differ between polite and the other two."""

TAGS = ("happy", "angry", "sad", "relaxed", "surprised", "neutral")
"""Expression tags; one opens every reply, in square brackets."""

TAG_PATTERN = re.compile(r"\[(?:" + "|".join(TAGS) + r")\] ?")

_CHOICE = re.compile(r"\(([^()]*)\)")
_STYLE = re.compile(r"<([^<>|]*)\|([^<>|]*)>")


def expand(
    template: str,
    rng: random.Random,
    *,
    style: str = "polite",
    slots: Mapping[str, str] | None = None,
) -> str:
    """Write one sentence from a template.

    ``<a|b>`` is *a* in the polite style and *b* in the others, ``(a|b)`` is a random choice and may
    nest, ``{slot}`` is replaced last, so that a slot's own text is never read as a template.
    """
    text = _STYLE.sub(lambda found: found[1] if style == "polite" else found[2], template)
    while "(" in text:
        text = _CHOICE.sub(lambda found: rng.choice(found[1].split("|")), text)
    if style == "energetic":
        text = _liven(text, rng)
    for key, value in (slots or {}).items():
        text = text.replace("{" + key + "}", value)
    return text.strip()


def strip_tags(text: str) -> str:
    """Remove every expression tag, as a client does that keeps a clean history."""
    return TAG_PATTERN.sub("", text).strip()


def join_reply(parts: Sequence[str], *, language: str) -> str:
    """Join reply parts into one message and drop a tag that repeats the mood before it."""
    mood = ""
    pieces: list[str] = []
    for part in parts:
        found = TAG_PATTERN.match(part)
        if found and found[0] == mood:
            part = part[found.end() :]
        elif found:
            mood = found[0]
        pieces.append(part)
    if language == "en":
        return " ".join(pieces)
    return "".join(
        (" " if index and piece.startswith("[") else "") + piece
        for index, piece in enumerate(pieces)
    )


def _liven(text: str, rng: random.Random) -> str:
    """End the first statement with an exclamation mark, as an energetic speaker does."""
    for stop, mark in ((". ", "! "), ("。", "！")):
        if stop in text and rng.random() < 0.8:
            return text.replace(stop, mark, 1)
    if text.endswith(".") and not text.endswith("..") and rng.random() < 0.8:
        return text[:-1] + "!"
    return text


def roughen(text: str, rng: random.Random, *, keep: Sequence[str] = ()) -> str:
    """Type an English message as people do: contractions lost, marks missing, letters swapped.

    Args:
        text: The clean message.
        rng: The dialogue's own source of randomness.
        keep: Slot values that must stay as they are, because a reply will quote them.
    """
    if rng.random() < 0.35:
        text = text.rstrip(".!")
    if rng.random() < 0.15:
        text = text.replace("?", "").replace(",", "")
    if rng.random() < 0.12:
        text = text.replace("'", "")
    if rng.random() < 0.05:
        text = re.sub(r"\byou\b", "u", text)
        text = re.sub(r"\byour\b", "ur", text)
    if rng.random() < 0.08:
        words = text.split(" ")
        kept = " ".join(keep).lower()
        spots = [
            i
            for i, word in enumerate(words)
            if len(word) > 4 and word.isalpha() and word.lower() not in kept
        ]
        if spots:
            spot = rng.choice(spots)
            cut = rng.randrange(1, len(words[spot]) - 2)
            word = words[spot]
            words[spot] = word[:cut] + word[cut + 1] + word[cut] + word[cut + 2 :]
            text = " ".join(words)
    return text
