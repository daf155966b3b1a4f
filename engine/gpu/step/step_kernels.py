"""The first thing that a step does: look up what its tokens are and where they go."""

from __future__ import annotations

import triton
import triton.language as tl

from engine.gpu.overlap import wait_for_those_before


@triton.jit(do_not_specialize=["count"])
def look_up_tokens(
    owners,  # [count] int32 slots, -1 for padding
    offsets,  # [count] int32, from what its sequence has computed
    num_computed,  # [slots] int32
    tokens,  # [slots, token_stride] int32
    tables,  # [slots, table_stride] int32
    token_ids,  # [count] int32
    positions,  # [count] int32
    kv_slots,  # [count] int32
    ends,  # [count] int32
    count,
    token_stride,
    table_stride,
    BLOCK: tl.constexpr,
    WIDTH: tl.constexpr,
    OVERLAPS: tl.constexpr,
):
    """Read the state of each token's slot; padding sees nothing and is stored nowhere."""
    wait_for_those_before(OVERLAPS)
    at = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    within = at < count
    owner = tl.load(owners + at, mask=within, other=-1)
    there = owner >= 0
    row = owner.to(tl.int64)
    position = tl.load(num_computed + row, mask=there, other=0)
    position += tl.load(offsets + at, mask=there, other=0)
    token = tl.load(tokens + row * token_stride + position, mask=there, other=0)
    block = tl.load(tables + row * table_stride + position // BLOCK, mask=there, other=0)
    tl.store(token_ids + at, token, mask=within)
    tl.store(positions + at, position, mask=within)
    kv_slot = tl.where(there, block * BLOCK + position % BLOCK, -1)
    tl.store(kv_slots + at, kv_slot, mask=within)
    tl.store(ends + at, tl.where(there, position + 1, 0), mask=within)
