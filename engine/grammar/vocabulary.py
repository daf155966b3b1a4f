"""A vocabulary as bytes, in the form llguidance works with.

The end of a reply is one more, virtual token behind the vocabulary: its bit in a mask says that the
reply is complete, and `engine.grammar.state` puts the request's own end tokens in its place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llguidance import LLTokenizer
from numpy.typing import NDArray

Mask = NDArray[np.uint32]
"""A bit per token, the lowest bit of the first word first."""


class Vocabulary:
    """What masks are made for.

    Attributes:
        size: Width of the model's logits; the virtual end token has this id.
        backend: llguidance's view of the tokens.
        first_backend: Likewise where they begin a text; ``None`` when there is no difference.
        text_mask: ``[num_words]``, a bit for every token that can be part of a text, and one for
            the end.
    """

    def __init__(
        self, token_bytes: Sequence[bytes], first_bytes: Sequence[bytes] | None = None
    ) -> None:
        """Build the tries; half a second for 150,000 tokens, in which nothing else runs.

        Args:
            token_bytes: By token id, what a token adds to a text; empty for a token that cannot be
                part of one.
            first_bytes: Likewise for the token that begins a text, if that ever differs.
        """
        self.size = len(token_bytes)
        self.backend = LLTokenizer(_Tokens(token_bytes))  # type: ignore[arg-type]
        self.first_backend: LLTokenizer | None = None
        self._first_bytes: Sequence[bytes] = ()
        self._ids: dict[bytes, int] = {}
        if first_bytes is not None and list(first_bytes) != list(token_bytes):
            self.first_backend = LLTokenizer(_Tokens(first_bytes))  # type: ignore[arg-type]
            self._first_bytes = first_bytes
            self._ids = {piece: token_id for token_id, piece in enumerate(token_bytes) if piece}
        self.text_mask = _bits([*map(bool, token_bytes), True])

    @property
    def num_words(self) -> int:
        """Words of 32 bits in a mask, the virtual end token included."""
        return len(self.text_mask)

    def spell_first(self, token_id: int) -> list[int]:
        """Return tokens that add the same anywhere as this token does at the start of a text.

        Nothing is returned when there are none.
        """
        if self.first_backend is None:
            return [token_id]
        data = self._first_bytes[token_id]
        spelled = []
        while data:
            size = next((n for n in range(len(data), 0, -1) if data[:n] in self._ids), 0)
            if not size:
                return []
            spelled.append(self._ids[data[:size]])
            data = data[size:]
        return spelled


class _Tokens:
    """The attributes by which llguidance recognises a tokenizer."""

    is_tokenizer_wrapper = True
    bos_token_id = None
    special_token_ids: Sequence[int] = ()

    def __init__(self, token_bytes: Sequence[bytes]) -> None:
        self.tokens = [*token_bytes, b""]
        self.eos_token_id = len(token_bytes)

    def __call__(self, text: str) -> list[int]:
        """Asked only where tokens are forced, and they are not."""
        return []


def _bits(flags: Sequence[bool]) -> Mask:
    padded = np.zeros(-(-len(flags) // 32) * 32, dtype=np.uint8)
    padded[: len(flags)] = flags
    return np.packbits(padded, bitorder="little").view(np.uint32)
