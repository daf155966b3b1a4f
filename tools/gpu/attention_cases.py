"""Decode attention over pages, as our kernels take it and as FlashAttention-3 does.

All of them get the same queries, the same pages and the same tables, with pages scattered over the
memory as they are after an hour of serving.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.attention.kv_store import KVStore, LayerShape
from engine.attention.metadata import Span
from engine.config import BLOCK_SIZE
from engine.gpu.attention.device_work import DeviceWork
from engine.gpu.attention.paged_attention import attend
from engine.gpu.attention.span_step import send_spans
from engine.gpu.attention.work_planner import WorkPlanner
from tools.gpu.results import NotHere

_LEAST_BYTES = 2**28
"""Several times any cache: one launch after the other reads other pages until so much is read."""
_MOST_SETS = 64
_KINDS = {"bf16": torch.bfloat16, "fp8": torch.float8_e4m3fn, "int8": torch.int8}
_SCALE = 0.02


@dataclass(frozen=True, slots=True)
class AttentionCase:
    """One size.

    Attributes:
        model: Whose heads they are.
        heads: Of queries.
        kv_heads: Of keys.
        dim: Of a head.
        batch: Sequences, of one new token each.
        context: Tokens that each sees, its own included.
        shared: Of them, from the start, how many are everybody's.
        kind: How keys and values are held: bf16, fp8 or int8.
    """

    model: str
    heads: int
    kv_heads: int
    dim: int
    batch: int
    context: int
    shared: int = 0
    kind: str = "bf16"

    @property
    def token_bytes(self) -> int:
        """Of one token's keys and values, scales left out."""
        return 2 * self.kv_heads * self.dim * _KINDS[self.kind].itemsize

    @property
    def num_read_once(self) -> int:
        """Tokens, if what is shared is read once."""
        return self.shared + self.batch * (self.context - self.shared)

    @property
    def num_read_by_each(self) -> int:
        """Tokens, if everybody reads his own."""
        return self.batch * self.context


class AttentionBench:
    """Memory and tables of a case, several sets of them.

    Args:
        case: Its size.
        device: Where.
    """

    def __init__(self, case: AttentionCase, device: torch.device) -> None:
        self.case, self._device = case, device
        least = 0 if device.type == "cpu" else _LEAST_BYTES
        once = case.num_read_once * case.token_bytes
        self.num_sets = max(1, min(_MOST_SETS, -(-least // once)))
        together = case.shared // BLOCK_SIZE
        own = -(-case.context // BLOCK_SIZE) - together
        self._tables = _scattered_tables(self.num_sets, case.batch, together, own)
        num_blocks = self.num_sets * (together + case.batch * own)
        layer = LayerShape(case.kv_heads, case.dim, case.dim)
        self._store = KVStore([layer], num_blocks, dtype=_KINDS[case.kind], device=device)
        self._scales = _fill(self._store, case.kind)
        dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
        self._query = torch.randn(case.batch, case.heads, case.dim, dtype=dtype, device=device)

    def ours(self, *, shares: bool) -> Callable[[], Tensor]:
        """Return what launches our kernels for all sets, and returns the first one's result."""
        works = [self._work(tables, shares=shares) for tables in self._tables]

        def launch() -> Tensor:
            found = [
                attend(
                    self._query,
                    self._store.keys[0],
                    self._store.values[0],
                    work,
                    scaling=self.case.dim**-0.5,
                    **self._scales,
                )
                for work in works
            ]
            return found[0]

        return launch

    def flash3(self, decode: Callable[..., Tensor]) -> Callable[[], Tensor]:
        """Return what launches FlashAttention-3 for all sets, and returns the first one's result.

        Raises:
            NotHere: It does not take such keys.
        """
        if self.case.kind != "bf16":
            raise NotHere("FlashAttention-3 wants queries in eight bits too")
        tables = [
            torch.tensor([list(row) for row in each], dtype=torch.int32, device=self._device)
            for each in self._tables
        ]
        lengths = torch.full(
            (self.case.batch,), self.case.context, dtype=torch.int32, device=self._device
        )
        query = self._query[:, None]

        def launch() -> Tensor:
            found = [
                decode(
                    query,
                    self._store.keys[0],
                    self._store.values[0],
                    cache_seqlens=lengths,
                    page_table=table,
                    softmax_scale=self.case.dim**-0.5,
                    causal=True,
                )
                for table in tables
            ]
            return found[0][:, 0]

        return launch

    def _work(self, tables: list[array[int]], *, shares: bool) -> DeviceWork:
        spans = [Span(self.case.context - 1, 1, table) for table in tables]
        planner = WorkPlanner([None], self.case.heads, self.case.kv_heads)
        planner.shares = shares
        return send_spans(spans, [0] * len(spans), planner, self._device).work[None]


def _scattered_tables(sets: int, batch: int, together: int, own: int) -> list[list[array[int]]]:
    blocks = torch.randperm(
        sets * (together + batch * own), generator=torch.Generator().manual_seed(0)
    ).tolist()
    free = iter(blocks)
    found = []
    for _ in range(sets):
        persona = [next(free) for _ in range(together)]
        found.append(
            [array("i", [*persona, *(next(free) for _ in range(own))]) for _ in range(batch)]
        )
    return found


def _fill(store: KVStore, kind: str) -> dict[str, Any]:
    """Store random numbers; returns the scales as `attend` takes them."""
    if kind == "bf16":
        for stored in (store.keys[0], store.values[0]):
            stored.normal_()
        return {}
    key_scale, value_scale = store.key_scales[0], store.value_scales[0]
    assert key_scale is not None
    assert value_scale is not None
    scales = {"key_scales": key_scale, "value_scales": value_scale}
    for stored, scale in zip((store.keys[0], store.values[0]), scales.values(), strict=True):
        numbers = torch.randn(stored.shape, device=stored.device)
        codes = (numbers * 30).clamp(-127, 127) if kind == "int8" else numbers
        coded = codes.to(_KINDS[kind])
        stored.copy_(coded.view(stored.dtype) if stored.dtype == torch.uint8 else coded)
        scale.fill_(_SCALE)
    return scales
