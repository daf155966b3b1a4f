"""Launches the kernels of `engine.gpu.row_kernels`."""

from __future__ import annotations

import triton
from torch import Tensor

from engine.attention.kv_store import kv_format
from engine.decoder.spec import Activation
from engine.gpu.overlap import overlap_options
from engine.gpu.row_kernels import add_norm, gate, place_heads

_GATE_COLUMNS = 1024


def norm_rows(
    residual: Tensor,
    weight: Tensor | None,
    out: Tensor,
    *,
    epsilon: float,
    delta: Tensor | None = None,
    before: Tensor | None = None,
    scale: float = 1.0,
) -> None:
    """Add to the residual stream and norm it, in one pass.

    ``residual += scale * before(delta)``, then ``out = norm(residual) * weight``.

    Args:
        residual: ``[rows, width]`` float32, updated where there is a ``delta``.
        weight: ``[width]`` float32; without it the stream is only copied.
        out: ``[rows, width]``, overwritten.
        epsilon: Of the norms.
        delta: ``[rows, width]``, or nothing to add.
        before: ``[width]`` float32, norms ``delta`` before it is added.
        scale: Of what is added.
    """
    rows, width = residual.shape
    padded = triton.next_power_of_2(width)
    add_norm[(rows,)](
        residual,
        residual if delta is None else delta,
        residual if before is None else before,
        residual if weight is None else weight,
        out,
        scale,
        epsilon,
        WIDTH=width,
        PADDED=padded,
        HAS_DELTA=delta is not None,
        HAS_BEFORE=before is not None,
        HAS_WEIGHT=weight is not None,
        num_warps=_warps(padded),
        **overlap_options(),
    )


def gate_rows(gates_and_ups: Tensor, out: Tensor, activation: Activation) -> None:
    """Write ``activation(gates) * ups``.

    Args:
        gates_and_ups: ``[rows, 2 * width]``, the gates first.
        out: ``[rows, width]``, overwritten.
        activation: Of the gates.
    """
    rows, width = out.shape
    grid = (rows, triton.cdiv(width, _GATE_COLUMNS))
    gate[grid](
        gates_and_ups,
        out,
        WIDTH=width,
        COLUMNS=_GATE_COLUMNS,
        ACTIVATION=activation,
        num_warps=4,
        **overlap_options(),
    )


def place(
    qkv: Tensor,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    positions: Tensor,
    kv_slots: Tensor,
    *,
    rotary: Tensor | None,
    query_norm: Tensor | None,
    key_norm: Tensor | None,
    epsilon: float,
    key_scales: Tensor | None = None,
    value_scales: Tensor | None = None,
) -> None:
    """Norm and turn the heads of new tokens, and store their keys and values.

    Args:
        qkv: ``[tokens, (heads + 2 * kv_heads) * dim]``.
        query: ``[tokens, heads, dim]``, overwritten.
        keys: ``[blocks, block_size, kv_heads, dim]``, updated; codes if they are of eight bits (see
            `engine.gpu.eight_bit_kernels`).
        values: Likewise.
        positions: ``[tokens]`` int32.
        kv_slots: ``[tokens]`` int32, ``block * block_size + offset``; -1 for nowhere.
        rotary: ``[positions, rotary_dim]`` float32, cosines of the first half and then sines.
        query_norm: ``[dim]`` float32, or ``[heads * dim]`` for a norm over all heads.
        key_norm: Likewise; both or neither.
        epsilon: Of the norms.
        key_scales: ``[blocks, block_size, kv_heads]`` bfloat16, updated; there is one for codes.
        value_scales: Likewise.
    """
    tokens, heads, dim = query.shape
    kv_heads = keys.shape[2]
    padded = triton.next_power_of_2(dim)
    place_heads[(tokens, heads + 2 * kv_heads)](
        qkv,
        qkv if query_norm is None else query_norm,
        qkv if key_norm is None else key_norm,
        qkv if rotary is None else rotary,
        positions,
        kv_slots,
        query,
        keys,
        values,
        keys if key_scales is None else key_scales,
        values if value_scales is None else value_scales,
        epsilon,
        HEADS=heads,
        KV_HEADS=kv_heads,
        DIM=dim,
        PADDED_DIM=padded,
        ROTARY_DIM=0 if rotary is None else rotary.shape[1],
        HAS_NORM=query_norm is not None,
        SPANS=query_norm is not None and query_norm.shape[0] != dim,
        PADDED_HEADS=triton.next_power_of_2(heads),
        FORMAT=kv_format(keys.dtype),
        num_warps=1,
        **overlap_options(),
    )


def _warps(width: int) -> int:
    return min(16, max(1, width // 512))
