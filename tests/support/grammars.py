"""A reply that follows a grammar, drawn without any model: each token allowed is as likely."""

from __future__ import annotations

import random
from collections.abc import Collection

import numpy as np

from engine.grammar.state import CompiledGrammar, GrammarState, fill_masks
from engine.tokenizer import Tokenizer
from tests.support.tiny_models import tokenizer

__all__ = ["allowed", "draw_reply", "tiny_tokenizer"]


def tiny_tokenizer() -> Tokenizer:
    """The tiny checkpoints' tokenizer."""
    return Tokenizer(tokenizer().backend_tokenizer, named_tokens={"eos_token": "<eos>"})


def allowed(state: GrammarState) -> list[int]:
    """Tokens that may come next; none when the state has an error."""
    vocabulary = state.vocabulary
    masks = np.zeros((1, vocabulary.num_words), dtype=np.uint32)
    fill_masks([state], masks)
    if state.error:
        return []
    bits = np.unpackbits(masks[0].view(np.uint8), bitorder="little")[: vocabulary.size]
    return [int(token_id) for token_id in np.flatnonzero(bits)]


def draw_reply(
    compiled: CompiledGrammar, ends: Collection[int], seed: int, longest: int = 600
) -> list[int]:
    """Draw tokens up to and including an end token, or up to so many."""
    rng = random.Random(seed)
    state = compiled.start(ends)
    reply: list[int] = []
    while len(reply) < longest:
        state.advance(reply)
        choices = allowed(state)
        assert choices, state.error
        finish = [token_id for token_id in choices if token_id in ends]
        reply.append(rng.choice(finish if finish and rng.random() < 0.2 else choices))
        if reply[-1] in ends:
            break
    return reply
