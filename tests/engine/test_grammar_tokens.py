"""Every token's bytes are what it adds to the text, for every kind of tokenizer."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models

from engine.errors import UnsupportedModel
from engine.grammar.tokens import vocabulary_of
from engine.grammar.vocabulary import Vocabulary
from engine.tokenizer import Tokenizer
from tests.support.tokenizers import one_of_each_kind, word_piece_backend

KINDS = {**one_of_each_kind(), "wordpiece": Tokenizer(word_piece_backend())}


def text_tokens(vocabulary: Vocabulary) -> list[int]:
    """Tokens that can be part of a text."""
    bits = np.unpackbits(vocabulary.text_mask.view(np.uint8), bitorder="little")
    return [int(token_id) for token_id in np.flatnonzero(bits[: vocabulary.size])]


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_add_up_to_the_text_that_is_decoded(kind: str) -> None:
    """Spelled out from the first token on, random tokens give the decoder's own text."""
    tokenizer = KINDS[kind]
    vocabulary = vocabulary_of(tokenizer, tokenizer.vocab_size)
    rng = random.Random(kind)
    tokens = text_tokens(vocabulary)
    for _ in range(200):
        reply = [rng.choice(tokens) for _ in range(rng.randrange(1, 6))]
        spelled = vocabulary.spell_first(reply[0])
        if not spelled:
            continue  # adds nothing at the start, or what no other tokens add: never the first
        data = vocabulary.backend.decode_bytes([*spelled, *reply[1:]])
        pieces = tokenizer.pieces()
        assert pieces is not None
        assert data.decode("utf-8", pieces.errors) == tokenizer.decode(reply)


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_are_no_text(kind: str) -> None:
    """No special token can be part of a text, by whatever name."""
    tokenizer = KINDS[kind]
    tokens = set(text_tokens(vocabulary_of(tokenizer, tokenizer.vocab_size)))
    assert not tokens & tokenizer.special_token_ids
    assert len(tokens) > 200


def test_ids_without_a_token_are_no_text() -> None:
    """A model may have more logits than its tokenizer has tokens, or fewer."""
    tokenizer = KINDS["chatml"]
    wide = vocabulary_of(tokenizer, tokenizer.vocab_size + 70)
    assert wide.size == tokenizer.vocab_size + 70
    assert max(text_tokens(wide)) < tokenizer.vocab_size
    narrow = vocabulary_of(tokenizer, 100)
    assert narrow.size == 100
    assert max(text_tokens(narrow)) < 100


def test_a_decoder_that_cannot_be_taken_apart_is_refused() -> None:
    """Without pieces there are no bytes to follow; the sentence says so."""
    backend = Backend(models.BPE({"a": 0, "b": 1}, []))
    backend.decoder = decoders.CTC()
    with pytest.raises(UnsupportedModel, match="cannot follow a grammar"):
        vocabulary_of(Tokenizer(backend), 2)
