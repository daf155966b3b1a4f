"""What the device knows of how each slot samples: numbers, sets of tokens, how often tokens came.

One row per slot, written when a sequence takes it; only what the sequence uses is brought along.
Sets are bits, 32 tokens in a word, so that a kernel asks about a token with one load. Counts are
packed, one word for each token of the vocabulary:

====  ==========================================================================
bits  meaning
====  ==========================================================================
0     the token is in the prompt
1-21  how often it is in the reply
22-   DRY's longest match that it would continue; set and cleared within a step
====  ==========================================================================
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.attention.transfer import bring
from engine.errors import InvalidParameter

MAX_BIASED_TOKENS = 1024
"""The most that a slot has room for; as `engine.sampling_params` has it."""
NOT_FINITE = -1
"""Stands for a sampled token where the logits are not finite numbers."""
NOTHING_LEFT = -2
"""Stands for a sampled token where bans and a grammar's mask leave none."""
OCCURRENCE = 2
"""What one more occurrence in the reply adds to a token's word."""
MATCH_SHIFT = 22
"""Where DRY's match begins in a token's word."""

NUMBERS = (
    "sharpness",  # the temperature's inverse; 0 for greedy
    "top_p",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "dry_multiplier",
    "dry_log_base",  # to the base 2
    "xtc_probability",  # 0 where XTC could do nothing
    "xtc_threshold",
)
INTEGERS = (
    "top_k",  # 0 keeps all
    "dry_allowed_length",
    "dry_range",
    "min_tokens",
    "num_biased",
    "has_allowed",
    "looks_back",
    "seed_low",
    "seed_high",
)

COLDEST = 1e-5
"""Temperatures below this are greedy (vLLM's ``_SAMPLING_EPS``)."""
_MOST_LIKELY = 0.5
"""Two tokens cannot both be likelier, so an XTC threshold above it does nothing (llama.cpp)."""
_LARGEST_INT = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotSampling:
    """How one sequence samples; names and ranges are those of `engine.sampling_params`.

    Attributes:
        stop_token_ids: Tokens that end the reply.
        seed: Any 64-bit integer, signed or not.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_range: int = 0
    dry_breaker_ids: Sequence[int] = ()
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    allowed_token_ids: Sequence[int] | None = None
    banned_token_ids: Sequence[int] = ()
    stop_token_ids: Iterable[int] = ()
    min_tokens: int = 0
    seed: int = 0

    @property
    def greedy(self) -> bool:
        """Whether the largest logit is taken."""
        return self.temperature < COLDEST

    @property
    def looks_back(self) -> bool:
        """Whether something depends on the tokens so far."""
        return (
            self.repetition_penalty != 1.0
            or self.frequency_penalty != 0.0
            or self.presence_penalty != 0.0
            or self.dry_multiplier > 0.0
        )

    @property
    def limits_tokens(self) -> bool:
        """Whether there are tokens that may never come."""
        return self.allowed_token_ids is not None or bool(self.banned_token_ids)

    @property
    def changes_logits(self) -> bool:
        """Whether penalties, bias or bans apply, now or later."""
        return bool(self.looks_back or self.limits_tokens or self.logit_bias or self.min_tokens > 0)

    @property
    def excludes_top_choices(self) -> bool:
        """Whether XTC may act."""
        return self.xtc_probability > 0.0 and self.xtc_threshold <= _MOST_LIKELY

    @property
    def filters(self) -> bool:
        """Whether the draw may leave some tokens out."""
        few = self.top_k > 0 or self.top_p < 1.0 or self.min_p > 0.0
        return not self.greedy and (few or self.excludes_top_choices)


class SamplingState:
    """Memory for a number of slots: allocated once, never grown.

    Args:
        num_slots: Sequences at a time.
        vocab: Columns of the logits; tokens beyond are ignored wherever they are named.
        device: Where.

    Attributes:
        vocab: As given.
        numbers: ``[slots, len(NUMBERS)]`` float32.
        integers: ``[slots, len(INTEGERS)]`` int32.
        counts: ``[slots, vocab]`` int32, packed as the module says; only of slots that look back.
        allowed: ``[slots, words]`` int32, tokens that may come; only of slots that limit them.
        ends: ``[slots, words]`` int32, tokens that end the reply.
        breakers: ``[slots, words]`` int32, tokens across which DRY counts no repeat.
        biased: ``[slots, MAX_BIASED_TOKENS]`` int32 token ids, rising.
        biases: ``[slots, MAX_BIASED_TOKENS]`` float32, added to their logits.
    """

    def __init__(self, num_slots: int, vocab: int, device: torch.device) -> None:
        def zeros(width: int, dtype: torch.dtype = torch.int32) -> Tensor:
            return torch.zeros(num_slots, width, dtype=dtype, device=device)

        words = -(-vocab // 32)
        self.vocab = vocab
        self.numbers = zeros(len(NUMBERS), torch.float32)
        self.integers = zeros(len(INTEGERS))
        self.counts = zeros(vocab)
        self.allowed, self.ends, self.breakers = zeros(words), zeros(words), zeros(words)
        self.biased = zeros(MAX_BIASED_TOKENS)
        self.biases = zeros(MAX_BIASED_TOKENS, torch.float32)

    def load(
        self, slot: int, token_ids: Sequence[int], num_prompt_tokens: int, how: SlotSampling
    ) -> None:
        """Give a slot to a sequence.

        Args:
            slot: Which.
            token_ids: Prompt and reply so far; read only if the sequence looks back.
            num_prompt_tokens: How many of them are the prompt.
            how: It samples.

        Raises:
            InvalidParameter: More tokens are biased than there is room for.
        """
        biases = sorted((t, b) for t, b in how.logit_bias.items() if t < self.vocab)
        if len(biases) > MAX_BIASED_TOKENS:
            raise InvalidParameter(
                "logit_bias", f"{len(biases)} entries", f"at most {MAX_BIASED_TOKENS} entries"
            )
        self._write(self.numbers[slot], _numbers(how))
        self._write(self.integers[slot], _integers(how, self.vocab, len(biases)))
        if biases:
            self._write(self.biased[slot], [token for token, _ in biases])
            self._write(self.biases[slot], [bias for _, bias in biases])
        if how.limits_tokens:
            bits = self._bits(how.allowed_token_ids, without=how.banned_token_ids)
            self._write(self.allowed[slot], bits)
        if how.min_tokens > 0 or how.dry_multiplier > 0.0 or how.excludes_top_choices:
            self._write(self.ends[slot], self._bits(how.stop_token_ids))
        if how.dry_multiplier > 0.0:
            self._write(self.breakers[slot], self._bits(how.dry_breaker_ids))
        if how.looks_back:
            self._count(self.counts[slot], token_ids, num_prompt_tokens)

    def _write(self, row: Tensor, numbers: Sequence[float] | NDArray[np.int32]) -> None:
        row[: len(numbers)] = bring(numbers, row.device, row.dtype)

    def _bits(
        self, token_ids: Iterable[int] | None, without: Iterable[int] = ()
    ) -> NDArray[np.int32]:
        bits = np.zeros(self.ends.shape[1] * 32, dtype=np.bool_)
        bits[slice(self.vocab) if token_ids is None else self._known(token_ids)] = True
        bits[self._known(without)] = False
        return np.packbits(bits, bitorder="little").view(np.int32)

    def _count(self, row: Tensor, token_ids: Sequence[int], num_prompt_tokens: int) -> None:
        counts = np.zeros(self.vocab, dtype=np.int32)
        np.add.at(counts, self._known(token_ids[num_prompt_tokens:]), OCCURRENCE)
        counts[self._known(token_ids[:num_prompt_tokens])] |= 1
        places = np.flatnonzero(counts)
        row.zero_()
        row.index_copy_(
            0,
            bring(places, row.device, torch.int64),
            bring(counts[places], row.device),
        )

    def _known(self, token_ids: Iterable[int]) -> NDArray[np.int64]:
        ids = np.fromiter(token_ids, dtype=np.int64)
        return ids[ids < self.vocab]


def _numbers(how: SlotSampling) -> list[float]:
    given = {
        "sharpness": 0.0 if how.greedy else 1.0 / how.temperature,
        "dry_log_base": math.log2(how.dry_base),
        "xtc_probability": how.xtc_probability if how.excludes_top_choices else 0.0,
    }
    return [float(given.get(name, getattr(how, name, 0.0))) for name in NUMBERS]


def _integers(how: SlotSampling, vocab: int, num_biased: int) -> list[int]:
    low, high = np.array([how.seed & (2**64 - 1)], dtype=np.uint64).view(np.int32).tolist()
    given = {
        "top_k": how.top_k if 0 < how.top_k < vocab else 0,
        "num_biased": num_biased,
        "has_allowed": how.limits_tokens,
        "seed_low": low,
        "seed_high": high,
    }
    found = [int(given.get(name, getattr(how, name, 0))) for name in INTEGERS]
    return [min(number, _LARGEST_INT) for number in found]
