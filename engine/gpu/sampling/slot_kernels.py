"""How kernels read what a slot asks for; see `engine.gpu.sampling.sampling_state`."""

from __future__ import annotations

import triton
import triton.language as tl

from engine.gpu.sampling.noise import coin
from engine.gpu.sampling.sampling_state import INTEGERS, NUMBERS

_NUM_NUMBERS = tl.constexpr(len(NUMBERS))
_NUM_INTEGERS = tl.constexpr(len(INTEGERS))
_SHARPNESS = tl.constexpr(NUMBERS.index("sharpness"))
_TOP_P = tl.constexpr(NUMBERS.index("top_p"))
_MIN_P = tl.constexpr(NUMBERS.index("min_p"))
_XTC_PROBABILITY = tl.constexpr(NUMBERS.index("xtc_probability"))
_XTC_THRESHOLD = tl.constexpr(NUMBERS.index("xtc_threshold"))
_TOP_K = tl.constexpr(INTEGERS.index("top_k"))
_SEED_LOW = tl.constexpr(INTEGERS.index("seed_low"))
_SEED_HIGH = tl.constexpr(INTEGERS.index("seed_high"))
_MIN_TOKENS = tl.constexpr(INTEGERS.index("min_tokens"))


@triton.jit
def number_of(numbers, slot, AT: tl.constexpr):
    """Read a field of `NUMBERS`."""
    return tl.load(numbers + slot * _NUM_NUMBERS + AT)


@triton.jit
def integer_of(integers, slot, AT: tl.constexpr):
    """Read a field of `INTEGERS`."""
    return tl.load(integers + slot * _NUM_INTEGERS + AT)


@triton.jit
def seed_of(integers, slot):
    """Return the seed's 64 bits."""
    low = integer_of(integers, slot, _SEED_LOW).to(tl.uint32, bitcast=True).to(tl.uint64)
    high = integer_of(integers, slot, _SEED_HIGH).to(tl.uint32, bitcast=True).to(tl.uint64)
    return low | (high << 32)


@triton.jit
def sharpness_of(numbers, slot):
    """Return what multiplies the logits: the temperature's inverse, or 0 for greedy."""
    return number_of(numbers, slot, _SHARPNESS)


@triton.jit
def filters_of(numbers, integers, slot, position):
    """Return what is left out of a draw at a place in the reply.

    Returns:
        Whether top-k, top-p or min-p leave tokens out, the three (0, 1 and 0 keep all), and XTC's
        threshold, below 0 where it does not act on this token.
    """
    top_k = integer_of(integers, slot, _TOP_K)
    top_p = number_of(numbers, slot, _TOP_P)
    min_p = number_of(numbers, slot, _MIN_P)
    acts = coin(seed_of(integers, slot), position) < number_of(numbers, slot, _XTC_PROBABILITY)
    xtc = tl.where(acts, number_of(numbers, slot, _XTC_THRESHOLD), -1.0)
    return (top_k > 0) | (top_p < 1.0) | (min_p > 0.0), top_k, top_p, min_p, xtc


@triton.jit
def is_early(integers, slot, position):
    """Whether the reply may not end yet."""
    return position < integer_of(integers, slot, _MIN_TOKENS)


@triton.jit
def is_in(bits, row, words, token, mask):
    """Whether each token's bit is set in a row of words; tokens beyond are not."""
    word = token // 32
    found = tl.load(bits + row.to(tl.int64) * words + word, mask=mask & (word < words), other=0)
    return ((found >> (token % 32)) & 1) != 0


@triton.jit
def load_scores(row_of_scores, token, CHANGES: tl.constexpr):
    """Return the scores of some tokens, float32; of tokens beyond the vocabulary, -inf.

    Args:
        row_of_scores: ``logits [rows, stride]``; ``changed_scores [sequences, vocab]`` float32, in
            their stead where ``changed [sequences]`` is not 0; the sequence, its row, ``stride``
            and ``vocab``.
        token: Which.
        CHANGES: Whether anything was changed.
    """
    logits, changed_scores, changed, sequence, row, stride, vocab = row_of_scores
    within = token < vocab
    low = float("-inf")
    given = logits + row.to(tl.int64) * stride + token
    if CHANGES:
        if tl.load(changed + sequence) != 0:
            own = changed_scores + sequence.to(tl.int64) * vocab + token
            scores = tl.load(own, mask=within, other=low)
        else:
            scores = tl.load(given, mask=within, other=low).to(tl.float32)
    else:
        scores = tl.load(given, mask=within, other=low).to(tl.float32)
    return scores
