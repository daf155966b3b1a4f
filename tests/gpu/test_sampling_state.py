"""What a slot holds once a sequence has taken it."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.errors import InvalidParameter
from engine.gpu.sampling.sampling_state import (
    COLDEST,
    INTEGERS,
    MAX_BIASED_TOKENS,
    NUMBERS,
    SamplingState,
    SlotSampling,
)

VOCAB = 70


def loaded(device: torch.device, how: SlotSampling, slot: int = 1) -> SamplingState:
    """Three slots, of which one is taken; a reply of 4 4 9 and an unknown token."""
    state = SamplingState(3, VOCAB, device)
    state.load(slot, [4, 5, 5, 4, 4, 9, VOCAB], 3, how)
    return state


def tokens_in(words: Tensor) -> list[int]:
    """The tokens whose bits are set."""
    bits = np.unpackbits(words.cpu().numpy().view(np.uint8), bitorder="little")
    return [int(token) for token in np.flatnonzero(bits)]


def tables(state: SamplingState) -> dict[str, Tensor]:
    """All memory by name."""
    return {name: value for name, value in vars(state).items() if isinstance(value, Tensor)}


def test_numbers_and_integers_are_in_their_places(device: torch.device) -> None:
    """As given, or as kernels want them; other slots stay as they are."""
    how = SlotSampling(
        temperature=0.5,
        top_k=7,
        top_p=0.75,
        min_p=0.25,
        presence_penalty=-0.5,
        frequency_penalty=1.5,
        repetition_penalty=1.25,
        dry_multiplier=0.5,
        dry_base=2.0,
        dry_allowed_length=3,
        dry_range=50,
        xtc_probability=0.5,
        xtc_threshold=0.125,
        min_tokens=6,
        seed=-2,
    )
    state = loaded(device, how)
    numbers = dict(zip(NUMBERS, state.numbers[1].tolist(), strict=True))
    integers = dict(zip(INTEGERS, state.integers[1].tolist(), strict=True))
    assert numbers.pop("sharpness") == 2.0
    assert numbers.pop("dry_log_base") == 1.0
    for name, value in numbers.items():
        assert value == getattr(how, name)
    assert (integers.pop("seed_low"), integers.pop("seed_high")) == (-2, -1)
    assert (integers.pop("num_biased"), integers.pop("has_allowed")) == (0, 0)
    for name, number in integers.items():
        assert number == getattr(how, name)
    for table in tables(state).values():
        assert not table[[0, 2]].any()


@pytest.mark.parametrize(
    ("how", "field", "value"),
    [
        (SlotSampling(temperature=0.0), "sharpness", 0.0),
        (SlotSampling(temperature=9e-6), "sharpness", 0.0),
        (SlotSampling(top_k=-1), "top_k", 0),
        (SlotSampling(top_k=VOCAB), "top_k", 0),
        (SlotSampling(top_k=VOCAB - 1), "top_k", VOCAB - 1),
        (SlotSampling(xtc_probability=1.0, xtc_threshold=0.6), "xtc_probability", 0.0),
        (SlotSampling(dry_range=2**40), "dry_range", 2**31 - 1),
        (SlotSampling(seed=2**64 - 1), "seed_high", -1),
        (SlotSampling(seed=1 << 40), "seed_high", 256),
    ],
)
def test_what_does_nothing_is_told_as_nothing(
    how: SlotSampling, field: str, value: float, device: torch.device
) -> None:
    """So that kernels need not know ranges and conventions."""
    state = loaded(device, how)
    row = state.numbers[1] if field in NUMBERS else state.integers[1]
    assert row[(NUMBERS if field in NUMBERS else INTEGERS).index(field)] == value


def test_counts_are_there_where_a_sequence_looks_back(device: torch.device) -> None:
    """Prompt and reply apart, the predecessor's gone; without looking back nothing is brought."""
    state = loaded(device, SlotSampling(frequency_penalty=0.1))
    state.load(1, [5, 8, 4, 4, 9, VOCAB], 2, SlotSampling(repetition_penalty=1.1))
    expected = torch.zeros(VOCAB, dtype=torch.int32)
    expected[[5, 8, 4, 9]] = torch.tensor([1, 1, 4, 2], dtype=torch.int32)
    assert torch.equal(state.counts[1].cpu(), expected)
    assert not loaded(device, SlotSampling(min_tokens=3)).counts.any()


def test_sets_are_there_where_something_asks_for_them(device: torch.device) -> None:
    """Tokens beyond the vocabulary are in none."""
    how = SlotSampling(
        allowed_token_ids=[0, 31, 32, 69, VOCAB],
        banned_token_ids=[31],
        stop_token_ids=frozenset({2, 64, VOCAB + 30}),
        dry_breaker_ids=(63,),
        dry_multiplier=1.0,
    )
    state = loaded(device, how)
    assert tokens_in(state.allowed[1]) == [0, 32, 69]
    assert tokens_in(state.ends[1]) == [2, 64]
    assert tokens_in(state.breakers[1]) == [63]
    state.load(1, [], 0, SlotSampling(banned_token_ids=[3], xtc_probability=1.0))
    assert tokens_in(state.allowed[1]) == [token for token in range(VOCAB) if token != 3]
    assert tokens_in(state.ends[1]) == []
    assert tokens_in(state.breakers[1]) == [63]


def test_biases_rise_by_token(device: torch.device) -> None:
    """Kernels look for a group's own among them by comparing."""
    state = loaded(device, SlotSampling(logit_bias={50: 1.5, 3: -2.0, VOCAB: 9.0}))
    assert state.integers[1, INTEGERS.index("num_biased")] == 2
    assert state.biased[1, :2].tolist() == [3, 50]
    assert state.biases[1, :2].tolist() == [-2.0, 1.5]


def test_too_many_biases_are_refused(device: torch.device) -> None:
    """Before anything is written."""
    state = SamplingState(1, 2 * MAX_BIASED_TOKENS, device)
    how = SlotSampling(logit_bias=dict.fromkeys(range(MAX_BIASED_TOKENS + 1), 1.0))
    with pytest.raises(InvalidParameter, match="logit_bias is '1025 entries'.*at most 1024"):
        state.load(0, [], 0, how)
    assert not any(table.any() for table in tables(state).values())


@pytest.mark.parametrize(
    ("how", "changes", "filters"),
    [
        (SlotSampling(), False, False),
        (SlotSampling(stop_token_ids=[3], seed=4, dry_base=3.0), False, False),
        (SlotSampling(temperature=0.0, top_k=3, top_p=0.5), False, False),
        (SlotSampling(top_k=3), False, True),
        (SlotSampling(top_p=0.5), False, True),
        (SlotSampling(min_p=0.5), False, True),
        (SlotSampling(xtc_probability=0.1), False, True),
        (SlotSampling(xtc_probability=0.1, xtc_threshold=0.51), False, False),
        (SlotSampling(min_tokens=1), True, False),
        (SlotSampling(logit_bias={1: 1.0}), True, False),
        (SlotSampling(allowed_token_ids=[1]), True, False),
        (SlotSampling(banned_token_ids=[1]), True, False),
        (SlotSampling(repetition_penalty=0.9), True, False),
        (SlotSampling(frequency_penalty=-0.1), True, False),
        (SlotSampling(presence_penalty=0.1), True, False),
        (SlotSampling(dry_multiplier=0.1), True, False),
    ],
)
def test_a_request_says_what_it_needs(how: SlotSampling, changes: bool, filters: bool) -> None:
    """So that a step leaves out what nobody in it needs."""
    assert (how.changes_logits, how.filters) == (changes, filters)


def test_names_and_limits_are_those_of_requests() -> None:
    """Neutral values too; only the seed and the end tokens are settled elsewhere."""
    pytest.importorskip("msgspec")
    from engine import sampling_params
    from engine.model.sampler import COLDEST as COLDEST_ON_A_CPU

    assert MAX_BIASED_TOKENS == sampling_params.MAX_BIASED_TOKENS
    assert COLDEST == COLDEST_ON_A_CPU
    theirs = sampling_params.SamplingParams()
    for field in fields(SlotSampling):
        if field.name not in {"seed", "stop_token_ids", "dry_breaker_ids", "banned_token_ids"}:
            assert getattr(SlotSampling(), field.name) == getattr(theirs, field.name)
    assert math.isclose(SlotSampling().dry_base, theirs.dry_base)
