r"""Grammars that hold a character to its tags: where one must stand, and that nothing else is one.

Written in llguidance's Lark. A reply is tags and text by turns, beginning with a tag::

    reply  = (tags text)+
    tags   = expression motion? | motion        [happy]  [happy:0.6][motion:wave]  [motion:wave]
    text   = anything without "[" and "]", with something to be seen in it

Square brackets are in no text, so whatever looks like a tag is one, and is whole. Full-width
brackets are text. A reply may end wherever it has come to text.

With ``every="segment"`` a text ends with its sentence; what follows has to begin with a tag. A
sentence ends, for this purpose,

* at a line end;
* at a wide ``。！？``, and at a ``!`` or ``?`` before anything but what could go on in an address,
  as in ``/find?q=1``;
* at a ``.`` before a space, but for ellipses (``..``), initials (``J.``), the number of an entry
  in a list (``2.`` at the beginning), and `ABBREVIATIONS`;

all with the signs and closing quotes right behind. A dot in ``3.5`` or ``kaiwa.example`` ends
nothing. The rules are lenient: a sentence that they do not see goes on with the tag before it.

Whoever may call tools, or has to write text of a given form, is not held to tags: the markers of
calls and the brackets of JSON are not to be told from text here.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable

from server.text.tag_rules import Every

ABBREVIATIONS = (
    *("Mr", "Mrs", "Ms", "Mx", "Dr", "Prof", "Rev", "Hon", "Gen", "Col", "Maj", "Capt", "Lt"),
    *("Sgt", "Sr", "Jr", "St", "Mt", "Inc", "Ltd", "Co", "Corp", "Dept", "Fig", "vs", "etc", "cf"),
    *("al", "approx", "e.g", "i.e", "a.m", "p.m", "A.M", "P.M", "Ph.D", "U.S", "U.K", "U.N", "D.C"),
)
"""Words whose dot, written here without it, ends no sentence."""

_SPACE = r"\t\x1f\x20\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
_LINE_END = r"\n\x0b-\x0d\x1c-\x1e\x85\u2028\u2029"
_UNSEEN = (
    r"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    r"\U000e0000-\U000e0fff"
)
"""Drawn as nothing: controls, joiners, variation selectors, fillers."""
_ENDER = "。！？｡‼⁇⁈⁉"
_CLOSE = r"""'")}>*’”»›」』）】〉》｣］〕｝＂＇~～♪♡♥"""
_OPEN = r"""'"({<*#‘“«‹「『（【〈《｢［〔｛"""
_ADDRESS = r"A-Za-z0-9=&/%#_+,;:@$^|\\\-"
"""Goes on behind a ``?`` or ``!`` without a space."""

_BRACKET = r"\[\]"
_SOFT = r".!?"


@functools.lru_cache(maxsize=256)
def tagged_reply(
    expressions: tuple[str, ...],
    motions: tuple[str, ...],
    every: Every,
    *,
    goes_on: bool = False,
) -> str:
    """Return the grammar of replies with such tags.

    Args:
        expressions: Names of faces; a tag holds one exactly as it is written here.
        motions: Likewise.
        every: What must begin with a tag.
        goes_on: The reply goes on in the middle of a text; its first tag may come later.

    Raises:
        ValueError: There is no name at all, so that no reply could begin.
    """
    if not expressions and not motions:
        raise ValueError("no expression and no motion is declared")
    # One lexeme from tag to tag: were each text one by itself, every token that cannot go on behind
    # a sentence would be tried as the beginning of a tag; were all the reply one, the lexer would
    # build more than twice as many expressions. Both have limits (engine.grammar.compile).
    begin = "" if goes_on else "TAGS "
    rules = ["%llguidance {}", f"start: {begin}MORE* TEXT", "MORE: TEXT TAGS"]
    if expressions:
        rules.append("TAGS: EXPRESSION MOTION? | MOTION" if motions else "TAGS: EXPRESSION")
        rules.append(f'EXPRESSION: "[" ({_any_of(expressions)}) WEIGHT? "]"')
        rules.append(r"WEIGHT: /:(0\.[1-9][0-9]?|1\.00?)/")
    else:
        rules.append("TAGS: MOTION")
    if motions:
        rules.append(f'MOTION: "[motion:" ({_any_of(motions)}) "]"')
    unseen = _SPACE + _LINE_END + _UNSEEN
    rules.append(_terminal("LEAD", f"[{unseen}]*"))
    if every == "segment":
        rules += _sentence()
    else:
        rules.append("TEXT: LEAD SEEN REST")
        rules.append(_terminal("SEEN", _not(unseen)))
        rules.append(_terminal("REST", f"{_not('')}*"))
    return "\n".join(rules)


def _sentence() -> list[str]:
    """Terminals of a text in which no sentence ends before its end."""
    blank = f"[{_SPACE}{_LINE_END}]"
    inside = f"{_LINE_END}{_SOFT}{_ENDER}"
    abbreviations = "|".join(map(re.escape, ABBREVIATIONS))
    return [
        "TEXT: LEAD (FIRST PART* (SIGNS | LINE_END)? | SIGNS)",
        "FIRST: SEEN | DOTTED | ABBREVIATED | ENTRY",
        "PART: PLAIN | DOTTED | SPACE ABBREVIATED",
        _terminal("SEEN", _not(inside + _SPACE + _UNSEEN)),
        _terminal("PLAIN", _not(inside)),
        _terminal("SPACE", f"[{_SPACE}]"),
        _terminal("ENTRY", r"[0-9]{1,3}\."),
        _terminal(
            "DOTTED",
            rf"\.[{_CLOSE}]*{_not(inside + _SPACE + _CLOSE)}|\.\.+"
            rf"|[{_SOFT}][{_SOFT}{_CLOSE}]*[{_ADDRESS}]",
        ),
        # "I" is a word far more often than somebody's initial
        _terminal("ABBREVIATED", rf"[{_OPEN}]*([A-HJ-Z]|{abbreviations})\."),
        _terminal("SIGNS", f"[{_SOFT}{_ENDER}][{_SOFT}{_ENDER}{_CLOSE}]*{blank}*"),
        _terminal("LINE_END", f"[{_LINE_END}]{blank}*"),
    ]


def _terminal(name: str, expression: str) -> str:
    escaped = expression.replace("/", r"\/")
    return f"{name}: /{escaped}/"


def _not(others: str) -> str:
    """Any code point of a text but those."""
    return f"[^{_BRACKET}{others}]"


def _any_of(names: Iterable[str]) -> str:
    return " | ".join(json.dumps(name) for name in names)
