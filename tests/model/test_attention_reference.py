"""Paged attention against dense attention written out in float64."""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from engine.attention.interface import (
    ATTENTION_NAME,
    AttentionCall,
    attending,
    register_attention,
)
from engine.attention.kv_store import KVStore, LayerShape
from engine.attention.metadata import Span, StepMetadata, padded_length
from engine.attention.reference import ReferenceAttention
from engine.config import BLOCK_SIZE

HEADS, KV_HEADS, DIM = 4, 2, 16


@dataclass(frozen=True)
class Variant:
    name: str
    heads: int = HEADS
    kv_heads: int = KV_HEADS
    dim: int = DIM
    value_dim: int = DIM
    window: int | None = None
    softcap: float | None = None
    sinks: bool = False


VARIANTS = [
    Variant("grouped"),
    Variant("one key head", kv_heads=1),
    Variant("a key head each", kv_heads=4),
    Variant("three heads a group", heads=6),
    Variant("an odd width", dim=20, value_dim=20),
    Variant("values narrower than keys", dim=24, value_dim=16),
    Variant("window of 1", window=1),
    Variant("window of 16", window=16),
    Variant("window of 37", window=37),
    Variant("window beyond the sequence", window=10_000),
    Variant("softcap", softcap=1.5),
    Variant("softcap and window", softcap=1.5, window=9),
    Variant("sinks", sinks=True),
    Variant("sinks and window", sinks=True, window=20, kv_heads=4),
]
EVERY_VARIANT = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)


class Sequence:
    """One sequence's queries, keys and values, and the dense answer to them."""

    def __init__(self, variant: Variant, length: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.query = torch.randn(variant.heads, length, variant.dim, generator=generator)
        self.key = torch.randn(variant.kv_heads, length, variant.dim, generator=generator)
        self.value = torch.randn(variant.kv_heads, length, variant.value_dim, generator=generator)
        self.length = length
        self.done = 0

    def dense(self, call: AttentionCall) -> Tensor:
        """Attend over everything at once, ``[length, heads, value_dim]`` float64."""
        share = self.query.shape[0] // self.key.shape[0]
        key = self.key.double().repeat_interleave(share, dim=0)
        value = self.value.double().repeat_interleave(share, dim=0)
        scores = self.query.double() @ key.transpose(1, 2) * call.scaling
        if call.softcap is not None:
            scores = torch.tanh(scores / call.softcap) * call.softcap
        behind = torch.arange(self.length)[:, None] - torch.arange(self.length)[None]
        hidden = behind < 0
        if call.window is not None:
            hidden |= behind >= call.window
        scores = scores.masked_fill(hidden, float("-inf"))
        if call.sinks is not None:
            column = call.sinks.double()[:, None, None].expand(-1, self.length, 1)
            scores = torch.cat([scores, column], dim=-1)
        weights = torch.softmax(scores, dim=-1)[..., : self.length]
        return (weights @ value).transpose(0, 1)


class Paged:
    """Runs sequences through paged attention step by step over scattered blocks."""

    def __init__(self, variant: Variant, *, num_blocks: int = 64, seed: int = 0) -> None:
        shape = LayerShape(variant.kv_heads, variant.dim, variant.value_dim, variant.window)
        cpu = torch.device("cpu")
        self.store = KVStore([shape], num_blocks, dtype=torch.float32, device=cpu)
        self.call = AttentionCall(
            layer=0,
            query=torch.empty(0),
            key=torch.empty(0),
            value=torch.empty(0),
            scaling=0.3,
            window=variant.window,
            softcap=variant.softcap,
            sinks=torch.linspace(-1, 2, variant.heads) if variant.sinks else None,
        )
        self._free = list(range(num_blocks))
        random.Random(seed).shuffle(self._free)
        self._tables: dict[int, list[int]] = {}

    def step(self, shares: list[tuple[Sequence, int]], *, padding: int = 0) -> list[Tensor]:
        """Compute each sequence's next tokens; return its rows."""
        pieces, packed = [], []
        for sequence, count in shares:
            end = sequence.done + count
            table = self._tables.setdefault(id(sequence), [])
            while len(table) * BLOCK_SIZE < end:
                table.append(self._free.pop())
            pieces.append(Span(sequence.done, count, array("i", table)))
            packed.append((sequence, slice(sequence.done, end)))
            sequence.done = end
        metadata = StepMetadata(pieces, dtype=torch.float32, device=torch.device("cpu"))
        self.store.clear_blocks(metadata.fresh_blocks)

        def pack(name: str) -> Tensor:
            parts = [getattr(sequence, name)[:, span] for sequence, span in packed]
            filler = torch.full((parts[0].shape[0], padding, parts[0].shape[2]), 7.0)
            return torch.cat([*parts, filler], dim=1)

        call = replace(self.call, query=pack("query"), key=pack("key"), value=pack("value"))
        out = ReferenceAttention(self.store, metadata).attend(call)
        assert not out[metadata.num_tokens :].any()
        rows = iter(out)
        return [torch.stack([next(rows) for _ in range(count)]) for _, count in shares]


def assert_dense(found: Tensor, sequence: Sequence, paged: Paged) -> None:
    """Equal up to float32 rounding."""
    expected = sequence.dense(paged.call)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


@EVERY_VARIANT
@pytest.mark.parametrize("chunk", [1, 3, 16, 50, 100])
def test_any_chunks_equal_dense_attention(variant: Variant, chunk: int) -> None:
    """A sequence fed in chunks of any size sees what it would see at once."""
    paged, sequence = Paged(variant), Sequence(variant, 83, seed=1)
    rows = []
    while sequence.done < sequence.length:
        share = min(chunk, sequence.length - sequence.done)
        rows.extend(paged.step([(sequence, share)]))
    assert_dense(torch.cat(rows), sequence, paged)


@EVERY_VARIANT
def test_a_mixed_batch_equals_dense_attention(variant: Variant) -> None:
    """Decodes, first chunks and later chunks share a step, with padding rows behind them."""
    paged = Paged(variant, seed=2)
    sequences = [Sequence(variant, length, seed=length) for length in (70, 33, 90, 1, 16)]
    rows: dict[int, list[Tensor]] = {i: [] for i in range(len(sequences))}
    rng = random.Random(3)
    while any(s.done < s.length for s in sequences):
        shares = []
        for i, sequence in enumerate(sequences):
            left = sequence.length - sequence.done
            if left and rng.random() < 0.8:
                shares.append((i, min(left, rng.choice([1, 1, 5, 17, 40]))))
        if not shares:
            continue
        out = paged.step([(sequences[i], n) for i, n in shares], padding=rng.randrange(4))
        for (i, _), part in zip(shares, out, strict=True):
            rows[i].append(part)
    for i, sequence in enumerate(sequences):
        assert_dense(torch.cat(rows[i]), sequence, paged)


@pytest.mark.parametrize("variant", [VARIANTS[0], VARIANTS[10]], ids=lambda variant: variant.name)
def test_what_a_block_held_before_does_not_matter(variant: Variant) -> None:
    """Not even when it was not a number."""
    paged, sequence = Paged(variant), Sequence(variant, 40, seed=4)
    for store in (*paged.store.keys, *paged.store.values):
        store.fill_(float("nan"))
    rows = [*paged.step([(sequence, 21)])]
    rows += [row for _ in range(19) for row in paged.step([(sequence, 1)])]
    assert_dense(torch.cat(rows), sequence, paged)


def test_a_decode_row_is_the_same_bits_in_any_company() -> None:
    """Row results do not depend on how many rows there are, nor on how long those are."""
    variant = VARIANTS[0]

    def last_row(mates: list[int]) -> Tensor:
        paged, watched = Paged(variant, seed=len(mates)), Sequence(variant, 50, seed=5)
        others = [Sequence(variant, length, seed=length) for length in mates]
        paged.step([(watched, 49), *((s, s.length - 1) for s in others)])
        return paged.step([*((s, 1) for s in others), (watched, 1)])[-1]

    alone = last_row([])
    for mates in ([2], [60, 61], [3, 130, 64, 200], [50] * 9):
        assert torch.equal(last_row(mates), alone)


@pytest.mark.parametrize("num_keys", [1, 15, 64, 65, 300, 513, 1000, 5000, 131_072])
def test_padding_is_close(num_keys: int) -> None:
    """Padded lengths are multiples of 64, and close to what is needed."""
    length = padded_length(num_keys)
    assert length % 64 == 0
    assert 0 <= length - num_keys < max(64, num_keys / 2)


def test_the_backend_is_gone_after_its_block() -> None:
    """Attention outside of a step is an error, not an answer from the last step."""
    register_attention()
    function = ALL_ATTENTION_FUNCTIONS[ATTENTION_NAME]
    variant = VARIANTS[0]
    paged = Paged(variant)
    metadata = StepMetadata([], dtype=torch.float32, device=torch.device("cpu"))
    with attending(ReferenceAttention(paged.store, metadata)):
        pass
    row = torch.zeros(1, 1, 1, 4)
    with pytest.raises(RuntimeError, match="outside of a step"):
        function(torch.nn.Identity(), row, row, row, None)
