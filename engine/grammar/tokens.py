"""A model's tokens as the bytes that they add to a reply.

The bytes are those of `engine.token_pieces`, from which the reply's text is made, so what the
grammar follows is what the listener reads. Special tokens, and ids for which the model has logits
but the tokenizer no token, add nothing and can therefore never be part of a text.
"""

from __future__ import annotations

from engine.errors import UnsupportedModel
from engine.grammar.vocabulary import Vocabulary
from engine.token_pieces import PieceTable
from engine.tokenizer import Tokenizer


def vocabulary_of(tokenizer: Tokenizer, vocab_size: int) -> Vocabulary:
    """Take a tokenizer's vocabulary apart; about a second for 150,000 tokens.

    Args:
        tokenizer: The model's.
        vocab_size: Width of the model's logits.

    Raises:
        UnsupportedModel: The tokenizer does not say what its tokens add to a text.
    """
    pieces = tokenizer.pieces(skip_special_tokens=True)
    if pieces is None:
        raise UnsupportedModel(
            "the tokenizer's decoder joins tokens in a way that cannot be taken apart, so replies "
            "cannot follow a grammar; serve a model with another tokenizer"
        )
    num_known = min(tokenizer.vocab_size, vocab_size)
    padding = [b""] * (vocab_size - num_known)
    anywhere = [_bytes(pieces[token_id]) for token_id in range(num_known)]
    at_start = [_first(pieces, token_id) for token_id in range(num_known)]
    return Vocabulary(anywhere + padding, at_start + padding)


def _first(pieces: PieceTable, token_id: int) -> bytes:
    if not pieces.shows(token_id):
        return b""
    data = _bytes(pieces.first(token_id))
    char, count = pieces.strip
    stripped = char.encode()
    while count and data.startswith(stripped):
        data, count = data[len(stripped) :], count - 1
    return data


def _bytes(piece: str | bytes) -> bytes:
    data = piece.encode() if isinstance(piece, str) else piece
    # In no text; and llguidance takes a token that begins with it for a special one.
    return b"" if b"\xff" in data else data
