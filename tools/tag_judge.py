"""Says whether a reply keeps to its tags; written without the parser and the grammar it judges.

The rules are those of `server.tools.tag_grammar`, in another form: there a grammar says what may be
written next, here a finished text is searched for what is wrong.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from server.tools.tag_grammar import ABBREVIATIONS

_CLOSERS = "'\")}>*’”»›」』）】〉》｣］〕｝＂＇~～♪♡♥"
_OPENERS = "'\"({<*#‘“«‹「『（【〈《｢［〔｛"
_SIGNS = re.compile(
    rf"[.!?。！？｡‼⁇⁈⁉][.!?。！？｡‼⁇⁈⁉{re.escape(_CLOSERS)}]*|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]"
)
_UNSEEN = " \t\n\u200b\u200d\ufeff"
_ADDRESS = re.compile(r"[A-Za-z0-9=&/%#_+,;:@$^|\\-]")
_TAG_LIKE = re.compile(r"\[\s*[A-Za-z][\w:. -]*(\]|$)|\[$")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of one reply.

    Attributes:
        num_tags: Declared tags in it.
        num_illegal: Brackets that belong to no declared tag.
        num_stacked: Tags without words behind them, a motion right after a face not counted.
        num_starts: Places that must begin with a tag.
        num_missing: Those that do not.
    """

    num_tags: int
    num_illegal: int
    num_stacked: int
    num_starts: int
    num_missing: int

    @property
    def is_legal(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.num_illegal or self.num_stacked or self.num_missing)


def judge(
    raw: str,
    expressions: Sequence[str],
    motions: Sequence[str] = (),
    *,
    every: str = "segment",
    is_whole: bool = True,
) -> Verdict:
    """Judge what a model wrote.

    Args:
        raw: With its tags.
        expressions: Declared faces; case counts.
        motions: Declared motions.
        every: What must begin with a tag: each ``segment``, or the ``reply``.
        is_whole: It came to its own end; otherwise its last tag may be cut off.
    """
    if not is_whole:
        raw = raw.rstrip("\N{REPLACEMENT CHARACTER}")  # of a character that was cut in two
        raw = re.sub(r"\[[^\[\]]*$", "", raw)
    names = "|".join(map(re.escape, expressions)) or "(?!)"
    moves = "|".join(map(re.escape, motions)) or "(?!)"
    face = rf"\[(?:{names})(?::(?:0\.[1-9]\d?|1\.00?))?\]"
    motion = rf"\[motion:(?:{moves})\]"
    # texts and tags by turns, a text first
    parts = re.split(rf"({face}|{motion})", raw, flags=re.ASCII)
    texts, tags = parts[::2], parts[1::2]
    stacked = 0
    for number, text in enumerate(texts[1:], start=1):
        if _is_seen(text) or (number == len(tags) and not is_whole):
            continue
        follows = number < len(tags) and text == "" and re.fullmatch(motion, tags[number])
        stacked += not (follows and re.fullmatch(face, tags[number - 1]))
    starts = len([text for text in texts[1:] if _is_seen(text)])
    missing = 0
    if texts[0] or not tags:
        starts, missing = starts + bool(raw or is_whole), bool(raw or is_whole)
    if every == "segment":
        late = sum(map(_ends_inside, texts))
        starts, missing = starts + late, missing + late
    brackets = sum(text.count("[") + text.count("]") for text in texts)
    return Verdict(len(tags), brackets, stacked, starts, missing)


def leaks(shown: str) -> bool:
    """Whether a text that a listener sees holds a tag, or something that wanted to be one."""
    return _TAG_LIKE.search(shown) is not None


def _ends_inside(text: str) -> int:
    """How many sentences end in a text before its end."""
    return sum(
        1
        for found in _SIGNS.finditer(text)
        if (_is_seen(text[: found.start()]) or not found[0].isspace())
        and text[found.end() :].strip()
        and _is_end(text[: found.start()], found[0], text[found.end()])
    )


def _is_end(before: str, signs: str, after: str) -> bool:
    if signs.isspace() or set(signs) & set("。！？｡‼⁇⁈⁉"):
        return True
    if set(signs) & set("!?"):
        return not _ADDRESS.match(after)
    if not after.isspace() or signs.startswith(".") and signs.count(".") > 1:
        return False
    words = before.lstrip(_UNSEEN).split()
    word = words[-1] if words and before[-1].strip() else ""
    if re.fullmatch(r"\d{1,3}", word) and len(words) == 1:
        return False
    word = word.lstrip(_OPENERS)
    return not (word in ABBREVIATIONS or re.fullmatch("[A-HJ-Z]", word))


def _is_seen(text: str) -> bool:
    return any(
        not symbol.isspace() and unicodedata.category(symbol) not in ("Cc", "Cf") for symbol in text
    )
