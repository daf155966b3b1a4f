r"""Tags as front ends that speak Chat Completions expect them in the text.

One stream of faces and motions, as `server.text.tags` finds them, is written for each of them:

======== ============================ ========================= =================================
dialect  a face                       a motion                  understood by
======== ============================ ========================= =================================
strip    (nothing)                    (nothing)                 everybody
aituber  ``[happy]``                  ``[motion:wave]``         aituber-kit
face     ``[face:joy]``               ``[animation:wave]``      aiavatarkit, ChatdollKit
olv      ``[happy]``                  (nothing)                 Open-LLM-VTuber
act      ``<|ACT {"emotion":...}|>``  ``<|ACT {"motion":...}``  AIRI
======== ============================ ========================= =================================

``face`` uses VRM 0's names for VRM 1's faces; other names stay as they are. ``olv`` has the names
that the character declares, which have to be keys of the Live2D model's ``emotionMap``. Only
``act`` can say a weight: ``{"emotion":{"name":"happy","intensity":0.6}}``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal, get_args

from server.text.tags import ExpressionTag, MotionTag, Piece, TagParser, TextPiece

TagDialect = Literal["strip", "aituber", "face", "olv", "act"]
TAG_DIALECTS: tuple[TagDialect, ...] = get_args(TagDialect)

DIALECT_SIGN = "+"
"""Between a model's name and a dialect, in ``model``; no character's id can hold it."""

_VRM0_NAMES = {"happy": "joy", "sad": "sorrow", "relaxed": "fun"}


def dialect_of(name: str) -> TagDialect | None:
    """Return the dialect of that name, if there is one."""
    return next((dialect for dialect in TAG_DIALECTS if dialect == name), None)


def split_dialect(model: str) -> tuple[str, TagDialect | None]:
    """Take ``aoi+face`` apart; a name without a dialect behind a ``+`` stays whole."""
    name, _, dialect = model.rpartition(DIALECT_SIGN)
    found = dialect_of(dialect) if name else None
    return (model, None) if found is None else (name, found)


def write_tag(tag: ExpressionTag | MotionTag, dialect: TagDialect) -> str:
    """Return a tag as it stands in the text of a dialect; empty where it has none for it."""
    match dialect, tag:
        case "aituber", MotionTag(name):
            return f"[motion:{name}]"
        case "aituber" | "olv", ExpressionTag(name):
            return f"[{name}]"
        case "face", ExpressionTag(name):
            return f"[face:{_VRM0_NAMES.get(name.lower(), name)}]"
        case "face", MotionTag(name):
            return f"[animation:{name}]"
        case "act", ExpressionTag(name, weight=1.0):
            return _act({"emotion": name})
        case "act", ExpressionTag(name, weight=weight):
            return _act({"emotion": {"name": name, "intensity": weight}})
        case "act", MotionTag(name):
            return _act({"motion": name})
    return ""


def _act(action: dict[str, object]) -> str:
    return f"<|ACT {json.dumps(action, separators=(',', ':'))}|>"


class TagText:
    """Turns one reply's raw text into what its client asked to see.

    A tag stands right before the words that it goes with: ``[happy]Hello``.

    Args:
        expressions: Faces to look for.
        dialect: What becomes of them.
        motions: Motions to look for.
    """

    def __init__(
        self,
        expressions: Iterable[str],
        dialect: TagDialect = "strip",
        motions: Iterable[str] = (),
    ) -> None:
        self._parser = TagParser(expressions, motions)
        self._dialect = dialect

    def feed(self, text: str) -> str:
        """Take more raw text in; return what can be shown now."""
        return self._render(self._parser.feed(text))

    def finish(self, *, at_stop_string: bool = False) -> str:
        """Return what was held back, once the text has come to its own end.

        A text that was cut off is not finished: what is held back may be half a tag. One that a
        stop string ended is, but for half a tag.
        """
        return self._render(self._parser.finish(at_stop_string=at_stop_string))

    def _render(self, pieces: Iterable[Piece]) -> str:
        return "".join(
            piece.text if isinstance(piece, TextPiece) else write_tag(piece, self._dialect)
            for piece in pieces
        )
