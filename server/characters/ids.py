"""What a character is called in ``model``."""

from __future__ import annotations

import hashlib
import re
import unicodedata

MAX_ID = 64
ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
ID_FORM = "up to 64 lower case letters, digits, '-', '_' and '.', the first a letter or digit"

_BETWEEN = re.compile(r"[^a-z0-9_.]+")


def is_id(text: str) -> bool:
    """Whether a text can be a character's id."""
    return ID.fullmatch(text) is not None


def make_id(name: str) -> str:
    """Make an id of a name: ``Dr. Mika`` is ``dr.-mika``, the same at all times.

    Accents are left out. A name with letters that are not Latin is not spelt out, which nobody
    would agree on: it becomes ``card-`` and six digits of its hash.
    """
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(one for one in plain if not unicodedata.combining(one)).lower()
    short = _BETWEEN.sub("-", plain).strip("-._")[:MAX_ID].rstrip("-._")
    has_lost = any(one.isalpha() and not one.isascii() for one in plain)
    if is_id(short) and not has_lost:
        return short
    return "card-" + hashlib.blake2b(name.strip().encode(), digest_size=3).hexdigest()
