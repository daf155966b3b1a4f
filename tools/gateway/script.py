"""What the scripted engine says: text that follows from a seed, as the user has asked for it."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

_TEXT = (
    "river stone lantern quiet harbour winter paper garden seven clock amber letter meadow violin "
    "こんにちは 海辺 灯り さくら 図書館 été naïve Straße žluťoučký 好的 下雨 우산 🎐 🌊 👩‍🚀"
)
_WORDS = _TEXT.split()
_ENDS = ("", "", "", "", "", "", ",", ".", "!", "?")
_NUM_LONG = 16
"""Different long tokens of a script; making more would take a while."""
_WISH = re.compile(r"Say (\d+) pieces of (\d+) by seed (\d+)\.")


@dataclass(frozen=True, slots=True)
class Script:
    """One reply.

    Attributes:
        seed: What its text follows from.
        num_pieces: Tokens of it.
        piece_chars: Code points of a token; 0 for a word each.
    """

    seed: int
    num_pieces: int
    piece_chars: int = 0

    @property
    def wish(self) -> str:
        """What a user says to get it."""
        return f"Say {self.num_pieces} pieces of {self.piece_chars} by seed {self.seed}."

    def pieces(self) -> list[str]:
        """Its tokens; of several scripts, alphabets and lengths in UTF-8."""
        rng = random.Random(self.seed)
        words = rng.choices(_WORDS, k=self.num_pieces)
        ends = rng.choices(_ENDS, k=self.num_pieces)
        pieces = [f" {word}{end}" for word, end in zip(words, ends, strict=True)]
        if not self.piece_chars:
            return pieces
        long = ["".join(rng.choices(pieces, k=self.piece_chars)) for _ in range(_NUM_LONG)]
        return [rng.choice(long)[: self.piece_chars] for _ in pieces]


def read_wish(prompt: str) -> Script | None:
    """Find the last script that a prompt asks for; ``None`` where it asks for none."""
    found = _WISH.findall(prompt)
    if not found:
        return None
    num_pieces, piece_chars, seed = map(int, found[-1])
    return Script(seed, num_pieces, piece_chars)
