"""What stands in a reply and is not said: stage directions, thoughts, code.

The rules, where *at the start* means that the segment has no words yet, or only whole sentences:

* ``*…*`` is an action: at the start always, save a single word that a small letter follows and
  that names no gesture (*Really* good); within a sentence if it is East Asian, names a gesture, or
  is several words of which the first looks like a verb (``*tilts her head*``); otherwise it is
  emphasis. ``**…**`` is always emphasis.
* ``(…)``, ``（…）`` and ``_…_`` at the start are an action if they name a gesture and hold no
  sentence, and otherwise a thought. Brackets within a sentence are part of it, save gestures such
  as （笑） or ``(laughs)``.
* Brackets and stars without words in them, such as (1), (a) or a drawn face, are text.
* Three backticks begin code, until as many close it; one or two enclose code of printable ASCII
  on one line, a segment of its own if longer than ``MAX_SPOKEN_CODE``, and else a word.

All but a fence must close on the same line and within ``MAX_ASIDE`` code points, ``MAX_GESTURE``
within a sentence; until that is known, the text from the opening mark on is held back. What does
not close is text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from server.speech.languages import word_set
from server.speech.sentence_ends import ELLIPSES, ENDERS, is_wide

AsideKind = Literal["action", "thought", "code"]

MAX_ASIDE = 240
"""Code points within which what began a segment must close."""

MAX_GESTURE = 60
"""Code points within which what began inside a sentence must close."""

MAX_SPOKEN_CODE = 24
"""Code in backticks up to this many code points is read aloud as a word."""

_MAX_TICKS = 16
_MAX_DEPTH = 4
_BRACKETS = re.compile(r"[()（）\n]")
_GESTURE_WORDS = word_set(
    "applauds beams bites blinks blushes bows breathes chuckles claps coughs cries crying "
    "cringes faints flinches frowns gasps giggles giggling glares grins grinning groans gulps "
    "hugs humming hums kisses laugh laughing laughs leans looks mumbles murmurs nods nodding "
    "pats pauses points pouts pouting quietly rolls screams shivers shrugs sigh sighing sighs "
    "silence sings singing smile smiles smiling smirks sniffles sniffs sobs sobbing softly "
    "squeals stares stretches stutters sweats tilts waves waving whisper whispering whispers "
    "wink winks yawn yawning yawns yells pause beat"
)
# Words on -s and -ing that begin no stage direction.
_NO_VERBS = word_set(
    "always anything as bless does during everything gods has his is its morning nothing "
    "perhaps something thanks this thus unless us was whereas yes yours sometimes besides guess"
)
_SAID_WORDS = word_set("i i'm i'll i've i'd me my you you're your we we're us our")
_GESTURES = re.compile(
    "笑|泣|小声|ため息|溜息|溜め息|頷|うなず|手を振|手を叩|首を|目を|顔を|肩を|頬を|頭を|囁|ささや|照れ|赤面|咳|沈黙|"
    "拍手|見つめ|俯|うつむ|抱き|撫で|なで|微笑|ほほえ|お辞儀|ウインク|ウィンク|深呼吸|震え|指を|首をかしげ|背伸び|"
    "あくび|くしゃみ|歌い|歌う|立ち上が|座る|座り|振り返|振り向|息を|"
    "哭|叹气|叹了|低头|点头|摇头|挥手|挥挥手|眨眼|眨了|脸红|沉默|鼓掌|轻声|低声|抬头|歪头|捂嘴|耸肩|转身|伸手|"
    "皱眉|打哈欠|清嗓|吐舌|看着|握住|拉住|抱住|凑近|走近|蹲下|站起|坐下|叉腰|跺脚|鞠躬"
)
_LAUGHS = word_set(
    "笑 爆笑 大笑 苦笑 微笑 失笑 泣 涙 怒 汗 照 驚 嬉 謎 爆 笑い 泣き 照れ 汗汗 笑笑 小声 小声で "
    "哭 笑哭 大哭 偷笑 坏笑 害羞 叹气 叹 捂脸 脸红"
)


@dataclass(frozen=True, slots=True)
class Aside:
    """A part of the text from an opening mark to its closing one.

    Attributes:
        end: Where it ends, the closing mark included.
        kind: ``None`` for text, which is read on from ``end``.
    """

    end: int
    kind: AsideKind | None


def read_aside(text: str, at: int, start: int, *, final: bool) -> Aside | None:
    """Read what the mark at ``at`` opens in the segment that began at ``start``.

    Args:
        text: What has come of the reply.
        at: Where ``*``, ``_``, ``(``, ``（`` or a backtick stands.
        start: Where the segment began.
        final: Whether the text ends here.

    Returns:
        ``None`` when that cannot be told yet.
    """
    first = not text[start:at].strip()
    before = text[at - 1 : at] if at > start else ""
    if text[at] == "`":
        return _read_ticks(text, at, final=final)
    if text[at] == "*":
        return _read_stars(text, at, before, first=first, final=final)
    if text[at] == "_":
        return _read_underscores(text, at, before, first=first, final=final)
    return _read_brackets(text, at, first=first, final=final)


def ticks_of_fence(text: str, at: int, *, final: bool) -> int | None:
    """How many backticks stand at ``at``; 0 when they are too few for a fence."""
    count = _run(text, at, "`", final=final)
    return count if count is None or count >= 3 else 0


def _run(text: str, at: int, mark: str, *, final: bool) -> int | None:
    end = at
    limit = min(len(text), at + _MAX_TICKS)
    while end < limit and text[end] == mark:
        end += 1
    return None if end == len(text) and end < at + _MAX_TICKS and not final else end - at


def _line(text: str, at: int, limit: int, *, final: bool) -> tuple[int, bool]:
    """Where a closing mark may be at most, and whether more of that may still come."""
    end = text.find("\n", at, at + limit)
    if end >= 0:
        return end, False
    return min(len(text), at + limit), not final and len(text) < at + limit


def _read_ticks(text: str, at: int, *, final: bool) -> Aside | None:
    count = _run(text, at, "`", final=final)
    if count is None:
        return None
    begin = at + count
    if text[begin : begin + 1] in (")", "）"):
        return Aside(begin, None)
    line_end, more = _line(text, begin, MAX_ASIDE, final=final)
    close = text.find("`" * count, begin, line_end)
    inside = text[begin : close if close >= 0 else line_end]
    if not inside.isascii():
        return Aside(begin, None)
    if close < 0:
        return None if more else Aside(begin, None)
    return Aside(close + count, "code" if len(inside) > MAX_SPOKEN_CODE else None)


def _read_stars(text: str, at: int, before: str, *, first: bool, final: bool) -> Aside | None:
    count = _run(text, at, "*", final=final)
    if count is None:
        return None
    literal = Aside(at + count, None)
    begin = at + 1
    if count > 1 or _is_ascii_word(before) or text[begin : begin + 1].strip() == "":
        return literal
    line_end, more = _line(text, begin, MAX_ASIDE if first else MAX_GESTURE, final=final)
    close = begin
    while True:
        close = text.find("*", close, line_end)
        if close < 0:
            return None if more else literal
        if close + 1 == len(text) and not final:
            return None
        if text[close + 1 : close + 2] == "*":
            close += 2
        elif text[close - 1].isspace():
            close += 1
        else:
            break
    inside = text[begin:close]
    if not _has_words(inside):
        return literal
    if not first:
        return Aside(close + 1, "action") if _is_stage(inside) else literal
    if " " in inside or not inside.isascii() or inside.lower() in _GESTURE_WORDS:
        return Aside(close + 1, "action")
    after = text[close + 1 : close + 3]
    if len(after) < 2 and not final and (not after or after.isspace()):
        return None
    return literal if after.strip()[:1].islower() else Aside(close + 1, "action")


def _read_underscores(text: str, at: int, before: str, *, first: bool, final: bool) -> Aside | None:
    count = _run(text, at, "_", final=final)
    if count is None:
        return None
    literal = Aside(at + count, None)
    begin = at + 1
    if count > 1 or not first or before.strip() or text[begin : begin + 1].strip() == "":
        return literal
    line_end, more = _line(text, begin, MAX_ASIDE, final=final)
    close = begin
    while True:
        close = text.find("_", close, line_end)
        if close < 0:
            return None if more else literal
        if close + 1 == len(text) and not final:
            return None
        if not _is_ascii_word(text[close + 1 : close + 2]) and not text[close - 1].isspace():
            break
        close += 1
    inside = text[begin:close]
    return Aside(close + 1, _kind(inside)) if _has_words(inside) else literal


def _read_brackets(text: str, at: int, *, first: bool, final: bool) -> Aside | None:
    begin = at + 1
    line_end, more = _line(text, begin, MAX_ASIDE if first else MAX_GESTURE, final=final)
    depth = 1
    close = -1
    for match in _BRACKETS.finditer(text, begin, line_end):
        depth += 1 if match[0] in "(（" else -1
        if depth > _MAX_DEPTH:
            return Aside(begin, None)
        if depth == 0:
            close = match.start()
            break
    if close < 0:
        return None if more else Aside(begin, None)
    inside = text[begin:close].strip()
    if not _has_words(inside):
        return Aside(begin, None)
    if inside in _LAUGHS:
        return Aside(close + 1, "action")
    if first:
        return Aside(close + 1, _kind(inside)) if len(inside) > 1 else Aside(begin, None)
    if not _names_gesture(inside) or _holds_sentence(inside):
        return Aside(begin, None)
    if inside.isascii():
        return Aside(close + 1, "action")
    # （笑顔の人） explains, and stands before the rest; 「…（笑顔で）。」 is played, and ends it.
    if close + 1 == len(text) and not final:
        return None
    after = text[close + 1 : close + 2]
    ends = not after.strip() or after in ENDERS or after in "」』"
    return Aside(close + 1, "action") if ends else Aside(begin, None)


def _kind(inside: str) -> AsideKind:
    staged = _names_gesture(inside) or (inside.isascii() and _looks_like_verb(inside))
    return "action" if staged and not _holds_sentence(inside) else "thought"


def _is_stage(inside: str) -> bool:
    """Whether stars within a sentence hold a stage direction, not emphasis."""
    if not inside.isascii():
        return any(is_wide(char) for char in inside)
    return _names_gesture(inside) or (" " in inside and _looks_like_verb(inside))


def _names_gesture(inside: str) -> bool:
    if not inside.isascii() and (inside in _LAUGHS or _GESTURES.search(inside)):
        return True
    return inside.split(maxsplit=1)[0].strip(",.").lower() in _GESTURE_WORDS


def _looks_like_verb(inside: str) -> bool:
    word = inside.split(maxsplit=1)[0].strip(",").lower()
    return word.endswith(("s", "ing", "ly")) and len(word) > 3 and word not in _NO_VERBS


def _holds_sentence(inside: str) -> bool:
    """Whether somebody seems to speak or think here: marks of a sentence, or "I" and "you"."""
    if any(char in ENDERS or char in ELLIPSES for char in inside):
        return True
    return any(word.strip(",").lower() in _SAID_WORDS for word in inside.split())


def _has_words(inside: str) -> bool:
    """Whether letters are more than half of it, which they are not in a drawn face."""
    solid = [char for char in inside if not char.isspace()]
    return 2 * sum(char.isalpha() for char in solid) > len(solid)


def _is_ascii_word(char: str) -> bool:
    return char.isascii() and char.isalnum()
