"""What happens to rows between products: norms, gates, rotary positions, storing keys and values.

Each kernel reads its rows once and writes them once. Arithmetic is float32; a row's result depends
on that row alone.
"""

from __future__ import annotations

import triton
import triton.language as tl

from engine.gpu.eight_bit_kernels import quantise
from engine.gpu.overlap import wait_for_those_before


@triton.jit
def add_norm(
    residual,  # [rows, WIDTH] float32, updated
    delta,  # [rows, WIDTH], added first
    before,  # [WIDTH] float32, a norm of `delta` before it is added
    weight,  # [WIDTH] float32
    out,  # [rows, WIDTH]
    scale,  # of what is added
    epsilon,
    WIDTH: tl.constexpr,
    PADDED: tl.constexpr,
    HAS_DELTA: tl.constexpr,
    HAS_BEFORE: tl.constexpr,
    HAS_WEIGHT: tl.constexpr,
    OVERLAPS: tl.constexpr,
):
    """Residual += scale * before(delta); out = norm(residual) (root mean square, Zhang 2019)."""
    wait_for_those_before(OVERLAPS)
    at = tl.arange(0, PADDED)
    within = at < WIDTH
    row = tl.program_id(0).to(tl.int64) * WIDTH + at
    x = tl.load(residual + row, mask=within, other=0.0)
    if HAS_DELTA:
        d = tl.load(delta + row, mask=within, other=0.0).to(tl.float32)
        if HAS_BEFORE:
            d *= tl.rsqrt(tl.sum(d * d, axis=0) / WIDTH + epsilon)
            d *= tl.load(before + at, mask=within, other=0.0)
        x += d * scale
        tl.store(residual + row, x, mask=within)
    if HAS_WEIGHT:
        x *= tl.rsqrt(tl.sum(x * x, axis=0) / WIDTH + epsilon)
        x *= tl.load(weight + at, mask=within, other=0.0)
    tl.store(out + row, x.to(out.dtype.element_ty), mask=within)


@triton.jit
def gate(
    gates_and_ups,  # [rows, 2 * WIDTH], the gates first
    out,  # [rows, WIDTH]
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
    ACTIVATION: tl.constexpr,  # "silu", "gelu_tanh" or "gelu"
    OVERLAPS: tl.constexpr,
):
    """Out = activation(gates) * ups."""
    wait_for_those_before(OVERLAPS)
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    within = at < WIDTH
    x = tl.load(gates_and_ups + row * 2 * WIDTH + at, mask=within, other=0.0).to(tl.float32)
    up = tl.load(gates_and_ups + row * 2 * WIDTH + WIDTH + at, mask=within, other=0.0)
    if ACTIVATION == "silu":
        y = x / (1.0 + tl.exp(-x))
    elif ACTIVATION == "gelu_tanh":
        inner = 0.7978845608028654 * (x + 0.044715 * x * x * x)
        y = x / (1.0 + tl.exp(-2.0 * inner))  # x * (1 + tanh(inner)) / 2
    else:
        y = 0.5 * x * (1.0 + tl.erf(x * 0.7071067811865476))
    tl.store(out + row * WIDTH + at, (y * up.to(tl.float32)).to(out.dtype.element_ty), mask=within)


@triton.jit
def _norm_weight(query_norm, key_norm, head, at, mask, HEADS: tl.constexpr):
    """Read from one of two places."""
    found = tl.load(query_norm + at, mask=mask & (head + 0 * at < HEADS), other=0.0)
    return found + tl.load(key_norm + at, mask=mask & (head + 0 * at >= HEADS), other=0.0)


@triton.jit
def _keep(x, place, at, mask, memory, scales, DIM: tl.constexpr, FORMAT: tl.constexpr):
    """Store a head of one token at its place, in eight bits with a scale if there is a format."""
    target = memory + place * DIM + at
    if FORMAT == "":
        tl.store(target, x.to(memory.dtype.element_ty), mask=mask)
    else:
        codes, scale = quantise(x, FORMAT)
        tl.store(target, codes.to(memory.dtype.element_ty), mask=mask)
        tl.store(scales + place + 0 * at, scale.to(scales.dtype.element_ty), mask=mask & (at == 0))


@triton.jit
def place_heads(
    qkv,  # [tokens, (HEADS + 2 * KV_HEADS) * DIM]
    query_norm,  # [DIM] float32, or [HEADS * DIM] if SPANS
    key_norm,  # [DIM] float32, or [KV_HEADS * DIM] if SPANS
    rotary,  # [positions, ROTARY_DIM] float32, cosines of the first half and then sines
    positions,  # [tokens] int32
    kv_slots,  # [tokens] int32, block * block_size + offset; -1 for nowhere
    query,  # [tokens, HEADS, DIM]
    keys,  # [kv slots, KV_HEADS, DIM]
    values,  # [kv slots, KV_HEADS, DIM]
    key_scales,  # [kv slots, KV_HEADS] bfloat16, if FORMAT
    value_scales,  # [kv slots, KV_HEADS] bfloat16, if FORMAT
    epsilon,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    DIM: tl.constexpr,
    PADDED_DIM: tl.constexpr,
    ROTARY_DIM: tl.constexpr,
    HAS_NORM: tl.constexpr,
    SPANS: tl.constexpr,
    PADDED_HEADS: tl.constexpr,
    FORMAT: tl.constexpr,  # "int8", "fp8", or "" for numbers as they are
    OVERLAPS: tl.constexpr,
):
    """Norm and turn the heads of a token; queries to their buffer, keys and values to their slot.

    The second half of the rotated part is the pair of the first. One program per token and head.
    """
    wait_for_those_before(OVERLAPS)
    token = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    width: tl.constexpr = (HEADS + 2 * KV_HEADS) * DIM
    half: tl.constexpr = ROTARY_DIM // 2
    at = tl.arange(0, PADDED_DIM)
    within = at < DIM
    row = qkv + token * width
    x = tl.load(row + head * DIM + at, mask=within, other=0.0).to(tl.float32)
    is_value = head >= HEADS + KV_HEADS
    slot = tl.load(kv_slots + token).to(tl.int64)
    stores = within & (slot + at >= at)  # padding has no slot
    if is_value:
        place = slot * KV_HEADS + head - HEADS - KV_HEADS
        _keep(x, place, at, stores, values, value_scales, DIM, FORMAT)
    else:
        is_key = head >= HEADS
        pair = tl.where(at < half, at + half, at - half)
        turns = at < ROTARY_DIM
        y = tl.load(row + head * DIM + pair, mask=turns, other=0.0).to(tl.float32)
        if HAS_NORM:
            first = tl.where(is_key, HEADS, 0)
            offset = tl.zeros([], tl.int32)
            if SPANS:
                count = tl.where(is_key, KV_HEADS, HEADS)
                lanes = tl.arange(0, PADDED_HEADS)
                all_heads = tl.load(
                    row + (first + lanes)[:, None] * DIM + at[None, :],
                    mask=(lanes < count)[:, None] & within[None, :],
                    other=0.0,
                ).to(tl.float32)
                mean = tl.sum(all_heads * all_heads) / (count * DIM)
                offset = (head - first) * DIM
            else:
                mean = tl.sum(x * x, axis=0) / DIM
            inverse = tl.rsqrt(mean + epsilon)
            x *= inverse * _norm_weight(query_norm, key_norm, head, offset + at, within, HEADS)
            y *= inverse * _norm_weight(query_norm, key_norm, head, offset + pair, turns, HEADS)
        if ROTARY_DIM > 0:
            angles = rotary + tl.load(positions + token).to(tl.int64) * ROTARY_DIM
            cosine = tl.load(angles + at % half, mask=turns, other=1.0)
            sine = tl.load(angles + half + at % half, mask=turns, other=0.0)
            x = x * cosine + tl.where(at < half, -y, y) * sine
        if is_key:
            place = slot * KV_HEADS + head - HEADS
            _keep(x, place, at, stores, keys, key_scales, DIM, FORMAT)
        else:
            target = query + (token * HEADS + head) * DIM + at
            tl.store(target, x.to(query.dtype.element_ty), mask=within)
