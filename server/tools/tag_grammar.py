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
* at a ``.`` before a space, but for ellipses (``..``), initials (``J.``, ``U.S.``), the number of
  an entry in a list (``2.`` at the beginning), and the words of `server.speech.abbreviations`;

all with the signs, closing quotes and emoji right behind. A dot in ``3.5`` or ``kaiwa.example``
ends nothing, nor does a closing quote before a particle, a comma or a small letter
(``「行く。」と言った``).

These are the segmenter's rules (`server.speech.sentence_ends`) as far as a grammar can know them:
it cannot look back at what was said, nor count quotes. Two things differ on purpose. It is lenient:
a sentence that it does not see, as after ``U.S.``, an aside or a note, goes on with the tag before
it. And within a quotation, an aside or code it asks for a tag where the segmenter alone would not
cut; the tag then begins a segment.

Whoever may call tools, or has to write text of a given form, is not held to tags: the markers of
calls and the brackets of JSON are not to be told from text here.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable

from server.speech.abbreviations import ANYWHERE, NUMBERED, TITLES, UNITS
from server.speech.sentence_ends import CLOSERS, ENDERS
from server.text.tag_rules import Every

_SPACE = r"\t\x1f\x20\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
_LINE_END = r"\n\x0b-\x0d\x1c-\x1e\x85\u2028\u2029"
_UNSEEN = (
    r"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    r"\U000e0000-\U000e0fff"
)
"""Drawn as nothing: controls, joiners, variation selectors, fillers."""
_SOFT = ".!?"
_ENDER = "".join(sorted(ENDERS - set(_SOFT) - {"．"}))
_QUOTE = "\"'" + "".join(sorted(CLOSERS - {"]"}))
_EMOJI = r"\u200d\u20e3\u2600-\u27bf\u2b50\u2b55\ufe0e\ufe0f\U0001f000-\U0001faff"
_CLOSE = _QUOTE + ">*＇~～"
_JOINED = "、，,;a-zとっはがをのな"
"""Goes on behind a quotation; a particle is not told from a word that begins like one."""
_OPEN = r"""'"({<*#‘“«‹「『（【〈《｢［〔｛"""
_ADDRESS = r"A-Za-z0-9=&/%#_+,;:@$^|\\\-"
"""Goes on behind a ``?`` or ``!`` without a space."""

_BRACKET = r"\[\]"


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
    signs = f"[{_SOFT}{_ENDER}{_CLOSE}{_EMOJI}]*"
    return [
        "TEXT: LEAD (FIRST PART* (SIGNS | LINE_END)? | SIGNS)",
        "FIRST: SEEN | DOTTED | QUOTED | ABBREVIATED | ENTRY",
        "PART: PLAIN | DOTTED | QUOTED | SPACE ABBREVIATED",
        _terminal("SEEN", _not(inside + _SPACE + _UNSEEN)),
        _terminal("PLAIN", _not(inside)),
        _terminal("SPACE", f"[{_SPACE}]"),
        _terminal("ENTRY", r"[0-9]{1,3}\."),
        _terminal(
            "DOTTED",
            rf"\.[{_CLOSE}]*{_not(inside + _SPACE + _CLOSE + _EMOJI)}|\.\.+"
            rf"|[{_SOFT}][{_SOFT}{_CLOSE}]*[{_ADDRESS}]",
        ),
        _terminal("QUOTED", f"[{_SOFT}{_ENDER}]{signs}[{_QUOTE}]{signs}[{_SPACE}]*[{_JOINED}]"),
        _terminal("ABBREVIATED", f"[{_OPEN}]*({_abbreviated()})"),
        _terminal(
            "SIGNS",
            f"[{_SOFT}{_ENDER}]{signs}([{_SPACE}]+[{_EMOJI}]{signs})*{blank}*",
        ),
        _terminal("LINE_END", f"[{_LINE_END}]{blank}*"),
    ]


def _abbreviated() -> str:
    """Words whose stop ends no sentence, with what has to follow."""
    spaces = rf"\.[{_SPACE}]+"
    return "|".join(
        [
            # "I" is a word far more often than somebody's initial
            rf"([A-HJ-Z]|[A-Z][a-z]?(\.[A-Z][a-z]?)+|{_as_written(TITLES | {'st'})})\.",
            rf"({_as_written(NUMBERED)}){spaces}[0-9]",
            rf"({_as_written(ANYWHERE)}){spaces}[a-z0-9]",
            rf"({'|'.join(sorted(UNITS))}){spaces}[a-z]",
        ]
    )


def _as_written(words: Iterable[str]) -> str:
    """Small, or with a capital letter."""
    forms = {form for word in words for form in (word, word[0].upper() + word[1:])}
    return "|".join(map(re.escape, sorted(forms)))


def _terminal(name: str, expression: str) -> str:
    escaped = expression.replace("/", r"\/")
    return f"{name}: /{escaped}/"


def _not(others: str) -> str:
    """Any code point of a text but those."""
    return f"[^{_BRACKET}{others}]"


def _any_of(names: Iterable[str]) -> str:
    return " | ".join(json.dumps(name) for name in names)
