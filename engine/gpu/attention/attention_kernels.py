"""Paged attention on a GPU: pieces of work, and the merging of their results.

One program of `attend_piece` takes the queries of one piece (see `engine.gpu.attention.work_list`)
for one key head: all query heads that share it lie side by side in the rows of a tile, so that keys
are read once for them. It walks through one stretch of keys with an online softmax (Milakov and
Gimelshein 2018; Dao et al. 2022) and leaves a normalised result with its log-sum-exp.
`merge_pieces` adds a token's results up in the order of their stretches (as in Flash-Decoding).
"""

from __future__ import annotations

import triton
import triton.language as tl

from engine.gpu.eight_bit_kernels import widen
from engine.gpu.overlap import wait_for_those_before


@triton.jit
def attend_piece(
    query,  # [tokens, HEADS, DIM]
    keys,  # [blocks, BLOCK, KV_HEADS, DIM]
    values,  # [blocks, BLOCK, KV_HEADS, VALUE_DIM]
    key_scales,  # [blocks, BLOCK, KV_HEADS] bfloat16, if FORMAT
    value_scales,  # [blocks, BLOCK, KV_HEADS] bfloat16, if FORMAT
    pieces,  # [pieces, 4] int32
    order,  # [places] int32
    tables,  # [sequences, table_stride] int32
    ends,  # [tokens] int32
    first_results,  # [tokens + 1] int32
    first_stretches,  # [tokens] int32
    partial,  # [results, HEADS, VALUE_DIM] float32
    lse,  # [results, HEADS] float32, to the base 2
    table_stride,
    query_stride,
    scaling,  # of the scores
    softcap,
    window,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    DIM: tl.constexpr,
    VALUE_DIM: tl.constexpr,
    PADDED_DIM: tl.constexpr,
    PADDED_VALUE_DIM: tl.constexpr,
    BLOCK: tl.constexpr,
    STRETCH: tl.constexpr,
    ROWS: tl.constexpr,
    KEYS: tl.constexpr,
    HAS_SOFTCAP: tl.constexpr,
    HAS_WINDOW: tl.constexpr,
    FORMAT: tl.constexpr,  # "int8", "fp8", or "" for numbers as they are
    UPCAST: tl.constexpr,  # the interpreter cannot multiply bfloat16
    OVERLAPS: tl.constexpr,
):
    """Attend from a piece's queries to one stretch of keys, for one key head."""
    wait_for_those_before(OVERLAPS)
    piece = tl.program_id(0)
    kv_head = tl.program_id(1)
    share: tl.constexpr = HEADS // KV_HEADS
    count = tl.load(pieces + piece * 4 + 1)
    if count == 0:  # padding
        return
    place = tl.load(pieces + piece * 4)
    table = tables + tl.load(pieces + piece * 4 + 2).to(tl.int64) * table_stride
    stretch = tl.load(pieces + piece * 4 + 3)

    row = tl.arange(0, ROWS)
    is_row = row < count * share
    token = tl.load(order + place + row // share, mask=is_row, other=0)
    head = kv_head * share + row % share
    end = tl.load(ends + token, mask=is_row, other=0)
    dim = tl.arange(0, PADDED_DIM)
    value_dim = tl.arange(0, PADDED_VALUE_DIM)
    q = tl.load(
        query + token.to(tl.int64)[:, None] * query_stride + head[:, None] * DIM + dim[None, :],
        mask=is_row[:, None] & (dim < DIM)[None, :],
        other=0.0,
    )
    if UPCAST:
        q = q.to(tl.float32)

    highest = tl.full([ROWS], float("-inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    out = tl.zeros([ROWS, PADDED_VALUE_DIM], tl.float32)
    first_key = stretch * STRETCH
    last_key = tl.minimum(first_key + STRETCH, tl.max(end, axis=0))
    if HAS_WINDOW:
        shortest = tl.min(tl.where(is_row, end, 2147483647), axis=0)
        seen_from = tl.maximum(shortest - window, 0) // KEYS * KEYS
        first_key = tl.maximum(first_key, seen_from)
    for at in range(first_key, last_key, KEYS):
        position = at + tl.arange(0, KEYS)
        is_key = position < last_key
        block = tl.load(table + position // BLOCK, mask=is_key, other=0).to(tl.int64)
        slot = (block * BLOCK + position % BLOCK) * KV_HEADS + kv_head
        k = tl.load(
            keys + slot[None, :] * DIM + dim[:, None],
            mask=is_key[None, :] & (dim < DIM)[:, None],
            other=0.0,
        )
        v = tl.load(
            values + slot[:, None] * VALUE_DIM + value_dim[None, :],
            mask=is_key[:, None] & (value_dim < VALUE_DIM)[None, :],
            other=0.0,
        )
        if FORMAT != "":
            k = widen(k, q.dtype, FORMAT, ROWS == 16)  # a large tile has no registers for it
            v = widen(v, q.dtype, FORMAT, True)
            key_scale = tl.load(key_scales + slot, mask=is_key, other=0.0).to(tl.float32)
            value_scale = tl.load(value_scales + slot, mask=is_key, other=0.0).to(tl.float32)
            scores = tl.dot(q, k, input_precision="ieee") * (key_scale * scaling)[None, :]
        else:
            if UPCAST:
                k = k.to(tl.float32)
                v = v.to(tl.float32)
            scores = tl.dot(q, k, input_precision="ieee") * scaling
        if HAS_SOFTCAP:
            scores = softcap * (
                2.0 / (1.0 + tl.exp2(scores * (-2.0 * 1.4426950408889634) / softcap)) - 1.0
            )
        sees = position[None, :] < end[:, None]
        if HAS_WINDOW:
            sees = sees & (position[None, :] >= end[:, None] - window)
        scores = tl.where(sees, scores * 1.4426950408889634, float("-inf"))
        now = tl.maximum(highest, tl.max(scores, axis=1))
        safe = tl.where(now == float("-inf"), 0.0, now)  # nothing seen yet
        weights = tl.exp2(scores - safe[:, None])
        decay = tl.exp2(highest - safe)
        total = total * decay + tl.sum(weights, axis=1)
        if FORMAT != "":
            weights *= value_scale[None, :]
        out = out * decay[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
        highest = now

    result = tl.load(first_results + token, mask=is_row, other=0) + stretch
    result -= tl.load(first_stretches + token, mask=is_row, other=0)
    target = result.to(tl.int64) * HEADS + head
    saw = total > 0
    total = tl.where(saw, total, 1.0)
    out = out / total[:, None]
    tl.store(
        partial + target[:, None] * VALUE_DIM + value_dim[None, :],
        out,
        mask=is_row[:, None] & (value_dim < VALUE_DIM)[None, :],
    )
    tl.store(lse + target, tl.where(saw, highest + tl.log2(total), float("-inf")), mask=is_row)


@triton.jit
def merge_pieces(
    partial,  # [results, HEADS, VALUE_DIM] float32
    lse,  # [results, HEADS] float32, to the base 2
    first_results,  # [tokens + 1] int32
    sinks,  # [HEADS] float32
    out,  # [tokens, HEADS, VALUE_DIM]
    HEADS: tl.constexpr,
    VALUE_DIM: tl.constexpr,
    PADDED_VALUE_DIM: tl.constexpr,
    HAS_SINKS: tl.constexpr,
    OVERLAPS: tl.constexpr,
):
    """Add up one token's results of one head, weighted by what each stretch took."""
    wait_for_those_before(OVERLAPS)
    token = tl.program_id(0)
    head = tl.program_id(1)
    dim = tl.arange(0, PADDED_VALUE_DIM)
    first = tl.load(first_results + token).to(tl.int64)
    count = tl.load(first_results + token + 1) - first
    highest = tl.full([], float("-inf"), tl.float32)
    if HAS_SINKS:
        highest = tl.load(sinks + head) * 1.4426950408889634
    for i in range(count):
        highest = tl.maximum(highest, tl.load(lse + (first + i) * HEADS + head))
    highest = tl.where(highest == float("-inf"), 0.0, highest)  # nothing seen, or no number
    total = tl.zeros([], tl.float32)
    if HAS_SINKS:
        total = tl.exp2(tl.load(sinks + head) * 1.4426950408889634 - highest)
    merged = tl.zeros([PADDED_VALUE_DIM], tl.float32)
    for i in range(count):
        row = (first + i) * HEADS + head
        weight = tl.exp2(tl.load(lse + row) - highest)
        merged += weight * tl.load(partial + row * VALUE_DIM + dim, mask=dim < VALUE_DIM, other=0.0)
        total += weight
    target = out + (token.to(tl.int64) * HEADS + head) * VALUE_DIM + dim
    total = tl.where(total > 0, total, 1.0)  # a token that is padding has seen nothing
    tl.store(target, (merged / total).to(out.dtype.element_ty), mask=dim < VALUE_DIM)
