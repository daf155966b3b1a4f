"""What one token adds to the text, worked out once per token instead of once per stream.

Decoding a whole reply again for every token is quadratic. Most decoders do not need it: the text
is the concatenation of one *piece* per token, where only the first piece of a text may differ.
``PieceTable`` knows the decoders for which that holds (byte-level BPE; SentencePiece BPE with
Metaspace and byte fallback; WordPiece; none at all) and checks itself against the tokenizer when
it is made; for any other decoder ``PieceTable.of`` returns ``None``.

A piece is a string where the token is whole characters and bytes where it is not, since a code
point may be spread over several tokens.

Where bytes are broken, byte-level decoding puts one U+FFFD for each longest broken part, as Rust
and Python do. For byte-fallback tokens each undecodable byte gives one U+FFFD and the valid
characters beside it survive, as in SentencePiece itself. (``tokenizers`` gives up the *whole* run
of byte tokens; following it would mean to withhold every run of rare characters up to its end,
which in some scripts is the end of the sentence, for the sake of text that is broken anyhow.)
"""

from __future__ import annotations

import codecs
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tokenizers

_CHECKED_TEXTS = 64
_CHECKED_LENGTH = 8


def _one_mark_per_byte(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\N{REPLACEMENT CHARACTER}" * (error.end - error.start), error.end


BYTE_FALLBACK_ERRORS = "kaiwa.byte-fallback"
codecs.register_error(BYTE_FALLBACK_ERRORS, _one_mark_per_byte)


def _byte_level_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {chr(byte): byte for byte in printable}
    return alphabet | {chr(0x100 + index): byte for index, byte in enumerate(others)}


_ALPHABET = _byte_level_alphabet()


@dataclass(frozen=True, slots=True)
class _Rule:
    """How a decoder turns a token into its piece.

    Attributes:
        piece: A token's piece anywhere but at the start of a text.
        first: Its piece at the start.
        errors: Name of the codec error handler for broken bytes.
        strip: A character and how many of it vanish from the start of the text.
    """

    piece: Callable[[str], str | bytes]
    first: Callable[[str], str | bytes]
    errors: str = "replace"
    strip: tuple[str, int] = ("", 0)


class PieceTable(dict[int, str | bytes]):
    """Piece by token id, filled as tokens turn up.

    Attributes:
        errors: Name of the codec error handler for broken bytes.
        strip: A character and how many of it vanish from the start of the text.
    """

    def __init__(self, backend: tokenizers.Tokenizer, rule: _Rule, skipped: frozenset[int]) -> None:
        super().__init__()
        self._backend = backend
        self._rule = rule
        self._skipped = skipped
        self.errors = rule.errors
        self.strip = rule.strip

    @classmethod
    def of(cls, backend: tokenizers.Tokenizer, *, skipped: frozenset[int]) -> PieceTable | None:
        """Build the table for a tokenizer.

        Args:
            backend: Is asked for tokens later on; must not change any more.
            skipped: Ids whose piece is empty.

        Returns:
            The table, or ``None`` when this decoder's output is no concatenation of pieces.
        """
        rule = _rule_for(backend)
        if rule is None:
            return None
        table = cls(backend, rule, skipped)
        return table if table._agrees() else None

    def __missing__(self, token_id: int) -> str | bytes:
        piece = self[token_id] = self._make(token_id, self._rule.piece)
        return piece

    def first(self, token_id: int) -> str | bytes:
        """The piece of a token that begins a text."""
        return self._make(token_id, self._rule.first)

    def shows(self, token_id: int) -> bool:
        """Whether the token counts as the first of a text, that is, is not left out."""
        return token_id not in self._skipped and self._backend.id_to_token(token_id) is not None

    def decode(self, token_ids: Sequence[int]) -> str:
        """The whole text of a sequence of tokens."""
        shown = [token_id for token_id in token_ids if self.shows(token_id)]
        data = b"".join(
            _bytes(self[token_id] if index else self.first(token_id))
            for index, token_id in enumerate(shown)
        )
        text = data.decode("utf-8", self.errors)
        char, count = self.strip
        while count and text.startswith(char):
            text, count = text[len(char) :], count - 1
        return text

    def _make(self, token_id: int, piece: Callable[[str], str | bytes]) -> str | bytes:
        token = self._backend.id_to_token(token_id)
        if token is None or token_id in self._skipped:
            return ""
        made = piece(token)
        if isinstance(made, bytes):
            try:
                return made.decode()
            except UnicodeDecodeError:
                return made
        return made

    def _agrees(self) -> bool:
        """Whether the tokenizer itself decodes random tokens to the same text."""
        draw = random.Random(0)
        size = max(1, self._backend.get_vocab_size())
        for _ in range(_CHECKED_TEXTS):
            sample = [draw.randrange(size) for _ in range(_CHECKED_LENGTH)]
            sample = [token_id for token_id in sample if self.shows(token_id)]
            mine, truth = self.decode(sample), self._backend.decode(sample, False)
            broken = self.errors == BYTE_FALLBACK_ERRORS and "\N{REPLACEMENT CHARACTER}" in truth
            if mine != truth and not broken:
                return False
        return True


def _bytes(piece: str | bytes) -> bytes:
    return piece.encode() if isinstance(piece, str) else piece


def _rule_for(backend: tokenizers.Tokenizer) -> _Rule | None:
    if backend.decoder is None:
        return _Rule(piece=lambda token: " " + token, first=lambda token: token)
    spec: dict[str, Any] = json.loads(backend.decoder.__getstate__())
    steps = spec["decoders"] if spec["type"] == "Sequence" else [spec]
    kinds = [step["type"] for step in steps]
    if kinds == ["ByteLevel"]:
        return _Rule(piece=_byte_level, first=_byte_level)
    if kinds == ["Metaspace"]:
        return _metaspace(steps[0])
    if kinds == ["WordPiece"]:
        return _word_piece(backend)
    return _sentencepiece(steps)


def _byte_level(token: str) -> str | bytes:
    try:
        return bytes(map(_ALPHABET.__getitem__, token))
    except KeyError:
        return token  # an added token with characters outside the alphabet stands for itself


def _metaspace(step: dict[str, Any]) -> _Rule:
    space = step["replacement"]
    never = step.get("prepend_scheme") == "never"

    def piece(token: str) -> str:
        return token.replace(space, " ")

    return _Rule(piece, piece if never else lambda token: token.replace(space, ""))


def _word_piece(backend: tokenizers.Tokenizer) -> _Rule:
    decoder = backend.decoder

    def first(token: str) -> str:
        return str(decoder.decode([token]))

    # Spaces and prefixes depend on being first; clean-up is per token and needs no neighbours.
    return _Rule(piece=lambda token: str(decoder.decode(["", token])), first=first)


def _sentencepiece(steps: list[dict[str, Any]]) -> _Rule | None:
    """Replace (any number), ByteFallback, Fuse, Strip: all optional, in this order."""
    replacements: list[tuple[str, str]] = []
    rest = list(steps)
    while rest and rest[0]["type"] == "Replace":
        pattern = rest.pop(0)
        if "String" not in pattern["pattern"]:
            return None
        replacements.append((pattern["pattern"]["String"], pattern["content"]))
    strip = ("", 0)
    if rest and rest[-1]["type"] == "Strip" and not rest[-1]["stop"]:
        step = rest.pop()
        strip = (step["content"], step["start"])
    kinds = [step["type"] for step in rest]
    if kinds not in (["ByteFallback", "Fuse"], ["ByteFallback"], ["Fuse"], []):
        return None
    if strip[1] and "Fuse" not in kinds:
        return None  # it would strip every token
    fallback = "ByteFallback" in kinds

    def piece(token: str) -> str | bytes:
        for old, new in replacements:
            token = token.replace(old, new)
        if fallback and len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            try:
                return bytes([int(token[3:5], 16)])
            except ValueError:
                return token
        return token

    return _Rule(piece, piece, BYTE_FALLBACK_ERRORS if fallback else "replace", strip)
