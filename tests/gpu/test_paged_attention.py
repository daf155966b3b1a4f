"""The attention kernels against dense attention in float64."""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from engine.attention.metadata import Span
from engine.config import BLOCK_SIZE
from engine.gpu.attention.paged_attention import attend
from engine.gpu.attention.span_step import send_spans
from engine.gpu.attention.work_planner import WorkPlanner
from tests.gpu.closeness import error
from tests.support.eight_bits import dequantised, quantised

BLOCKS = 120


@dataclass(frozen=True)
class Variant:
    """A kind of attention."""

    name: str
    heads: int = 4
    kv_heads: int = 2
    dim: int = 32
    window: int | None = None
    softcap: float | None = None
    sinks: bool = False
    dtype: torch.dtype = torch.float32
    kv_format: str = ""
    tolerance: float = 1e-6


VARIANTS = [
    Variant("grouped"),
    Variant("one key head each", heads=3, kv_heads=3, dim=16),
    Variant("odd share and width", heads=6, kv_heads=2, dim=24),
    Variant("wide", heads=2, kv_heads=1, dim=256),
    Variant("short window", window=5),
    Variant("long window", window=300),
    Variant("soft cap", softcap=5.0),
    Variant("sinks", sinks=True),
    Variant("all", window=70, softcap=4.0, sinks=True),
    Variant("half", dtype=torch.float16, tolerance=2e-3),
    Variant("bfloat16", dtype=torch.bfloat16, tolerance=2e-2),
    Variant("int8", kv_format="int8"),
    Variant("int8, all", kv_format="int8", window=70, softcap=4.0, sinks=True),
    Variant("int8, odd share and width", kv_format="int8", heads=6, kv_heads=2, dim=24),
    Variant("int8, bfloat16", kv_format="int8", dtype=torch.bfloat16, tolerance=2e-2),
    Variant("fp8", kv_format="fp8"),
    Variant("fp8, all", kv_format="fp8", window=300, softcap=4.0, sinks=True),
    Variant("fp8, wide", kv_format="fp8", heads=2, kv_heads=1, dim=256),
    Variant("fp8, bfloat16", kv_format="fp8", dtype=torch.bfloat16, tolerance=2e-2),
]


class Case:
    """Random keys and values, poisoned where nobody may look, and sequences over them."""

    def __init__(self, variant: Variant, seed: int, device: torch.device) -> None:
        self.variant = variant
        rng = random.Random(seed)
        generator = torch.Generator().manual_seed(seed)
        shape = (BLOCKS, BLOCK_SIZE, variant.kv_heads, variant.dim)
        self.keys, self.values = (
            torch.randn(shape, generator=generator).to(variant.dtype) for _ in range(2)
        )
        self.key_scales = self.value_scales = None
        if variant.kv_format:
            self.keys, self.key_scales = quantised(self.keys, variant.kv_format)
            self.values, self.value_scales = quantised(self.values, variant.kv_format)
        free = rng.sample(range(BLOCKS), BLOCKS)
        persona = [free.pop() for _ in range(17)]
        wanted = [(280, 1, 17), (300, 1, 17), (290, 1, 17), (0, 1, 0), (255, 1, 0), (256, 1, 0)]
        wanted += [(40, 30, 0), (0, 5, 0), (300, 20, 17)]
        self.spans = []
        for start, num_tokens, shared in wanted:
            need = -(-(start + num_tokens) // BLOCK_SIZE)
            own = [free.pop() for _ in range(need - shared)]
            table = [*persona[:shared], *own]
            self.spans.append(Span(start, num_tokens, array("i", table)))
            used = (start + num_tokens) % BLOCK_SIZE
            if used:
                self.poison(table[-1], used)
        for block in free:
            self.poison(block)
        tokens = sum(span.num_tokens for span in self.spans)
        self.query = torch.randn(tokens, variant.heads, variant.dim, generator=generator)
        self.query = self.query.to(variant.dtype)
        self.sinks = torch.randn(variant.heads, generator=generator) if variant.sinks else None
        self.device = device

    def poison(self, block: int, offset: int = 0) -> None:
        """Leave what a broken sequence may have left in a block, from an offset on."""
        memory = (self.keys, self.values, self.key_scales, self.value_scales)
        for tensor in (tensor for tensor in memory if tensor is not None):
            tensor[block, offset:] = float("nan") if tensor.is_floating_point() else 127

    def attend(self, spans: list[Span], query: Tensor, *, shares: bool = True) -> Tensor:
        """By the kernels."""
        v = self.variant
        planner = WorkPlanner([v.window], v.heads, v.kv_heads)
        planner.shares = shares
        step = send_spans(spans, [0] * len(query), planner, self.device)
        return attend(
            query.to(self.device).contiguous(),
            self.keys.to(self.device),
            self.values.to(self.device),
            step.work[v.window],
            scaling=v.dim**-0.5,
            window=v.window,
            softcap=v.softcap,
            sinks=None if self.sinks is None else self.sinks.to(self.device),
            key_scales=None if self.key_scales is None else self.key_scales.to(self.device),
            value_scales=None if self.value_scales is None else self.value_scales.to(self.device),
        ).cpu()

    def dense(self) -> Tensor:
        """Written out, in float64."""
        v, out, token = self.variant, [], 0
        numbers = [self.keys.double(), self.values.double()]
        if self.key_scales is not None and self.value_scales is not None:
            numbers = [
                dequantised(self.keys, self.key_scales),
                dequantised(self.values, self.value_scales),
            ]
        for span in self.spans:
            table = torch.tensor(list(span.block_table))
            key, value = (s[table].flatten(0, 1) for s in numbers)
            for i in range(span.num_tokens):
                end = span.start + i + 1
                seen = slice(0 if v.window is None else max(0, end - v.window), end)
                query = self.query[token].double().view(v.kv_heads, -1, v.dim)
                scores = torch.einsum("ksd,tkd->kst", query, key[seen]) * v.dim**-0.5
                if v.softcap is not None:
                    scores = torch.tanh(scores / v.softcap) * v.softcap
                if self.sinks is not None:
                    column = self.sinks.double().view(v.kv_heads, -1, 1)
                    scores = torch.cat([scores, column], dim=-1)
                weights = scores.softmax(dim=-1)[..., : len(key[seen])]
                out.append(torch.einsum("kst,tkd->ksd", weights, value[seen]).flatten(0, 1))
                token += 1
        return torch.stack(out)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_every_kind_of_attention_is_right(variant: Variant, device: torch.device) -> None:
    """Decodes that share a beginning, decodes at borders, chunks; unused memory is poisoned."""
    case = Case(variant, seed=1, device=device)
    assert error(case.attend(case.spans, case.query), case.dense()) < variant.tolerance


@pytest.mark.slow
def test_a_token_gets_the_same_bits_alone_and_in_company(device: torch.device) -> None:
    """Whether a beginning is read once for many or by each for itself."""
    case = Case(VARIANTS[0], seed=2, device=device)
    together = case.attend(case.spans, case.query)
    assert torch.equal(case.attend(case.spans, case.query, shares=False), together)
    for i in range(6):  # the decodes
        assert torch.equal(case.attend([case.spans[i]], case.query[i : i + 1])[0], together[i])


@pytest.mark.slow
@pytest.mark.parametrize("kv_format", ["int8", "fp8"])
def test_a_broken_token_is_its_own_sequences_problem(kv_format: str, device: torch.device) -> None:
    """Who reads its scale gets what is not a number; who shares the beginning, the same bits."""
    case = Case(Variant("broken", kv_format=kv_format), seed=3, device=device)
    whole = case.attend(case.spans, case.query)
    span = case.spans[1]  # a decode behind a beginning that others share
    block, offset = span.block_table[span.start // BLOCK_SIZE], span.start % BLOCK_SIZE
    for broken in (case.key_scales, case.value_scales):
        assert broken is not None
        kept = broken[block, offset].clone()
        broken[block, offset] = float("nan")
        found = case.attend(case.spans, case.query)
        broken[block, offset] = kept
        assert found[1].isnan().all()
        whole_but_one, found_but_one = (torch.cat([x[:1], x[2:]]) for x in (whole, found))
        assert torch.equal(found_but_one, whole_but_one)
