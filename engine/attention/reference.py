"""Paged attention in plain torch: runs on any device and is the oracle for faster tiers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engine.attention.interface import AttentionCall
from engine.attention.kv_store import KVStore
from engine.attention.metadata import AttentionGroup, StepMetadata


class ReferenceAttention:
    """Writes the new tokens' keys and values, then attends over each sequence's blocks.

    Query heads that share a key head are folded into the query length, so that nothing is
    repeated in memory (SDPA's own ``enable_gqa`` is four times slower on CPU).
    """

    def __init__(self, store: KVStore, metadata: StepMetadata) -> None:
        self._store = store
        self._metadata = metadata

    def attend(self, call: AttentionCall) -> Tensor:
        """Return ``[tokens, heads, value_dim]``; padding rows are zero."""
        count = self._metadata.num_tokens
        self._store.write(
            call.layer, self._metadata.slots, call.key[:, :count], call.value[:, :count]
        )
        heads, tokens, _ = call.query.shape
        query = call.query.transpose(0, 1)  # [T, H, D]
        out = query.new_empty(tokens, heads, call.value.shape[-1])
        out[count:] = 0
        for group in self._metadata.groups(call.window):
            out[group.rows] = self._attend_group(call, group, query[group.rows])
        return out

    def _attend_group(self, call: AttentionCall, group: AttentionGroup, query: Tensor) -> Tensor:
        """Attend for the group's rows, ``[rows, heads, dim]`` in and out."""
        key, value = self._store.gather(call.layer, group.blocks, group.num_sequences)
        kv_heads = key.shape[1]
        rows, heads, dim = query.shape
        share = heads // kv_heads
        queries = rows // group.num_sequences  # 1 for decodes, the chunk's length otherwise
        folded = (
            query.view(group.num_sequences, queries, kv_heads, share, dim)
            .permute(0, 2, 3, 1, 4)
            .reshape(group.num_sequences, kv_heads, share * queries, dim)
        )
        # [N, 1, share * queries, keys]: every head of the share sees the same keys
        mask = group.mask.expand(-1, share, -1, -1).reshape(
            group.num_sequences, 1, share * queries, -1
        )
        if call.softcap is None and call.sinks is None:
            out = _attend_plain(folded, key, value, mask, call.scaling)
        else:
            sinks = None
            if call.sinks is not None:
                sinks = call.sinks.view(kv_heads, share, 1).expand(-1, -1, queries)
            out = _attend_explicit(
                folded, key, value, mask, call.scaling, softcap=call.softcap, sinks=sinks
            )
        return (
            out.view(group.num_sequences, kv_heads, share, queries, -1)
            .permute(0, 3, 1, 2, 4)
            .reshape(rows, heads, -1)
        )


def _attend_plain(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float
) -> Tensor:
    rows = query.shape[2]
    if rows % 2 and query.dtype == torch.float32:
        # MKL takes another route for an odd number of float32 rows, and there the result depends
        # on the addresses of the operands, that is, on the batch-mates
        query = functional.pad(query, (0, 0, 0, 1))
        mask = functional.pad(mask, (0, 0, 0, 1))
    out = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
    return out[:, :, :rows]


def _attend_explicit(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    scaling: float,
    *,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    # contiguous operands, because the batched product picks its route by their strides
    scores = torch.matmul(query, key.transpose(2, 3).contiguous()).float() * scaling
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores + mask.float()
    if sinks is not None:
        column = sinks.float().reshape(1, sinks.shape[0], -1, 1).expand(len(scores), -1, -1, 1)
        scores = torch.cat([scores, column], dim=-1)
    weights = torch.softmax(scores, dim=-1).to(query.dtype)
    return torch.matmul(weights[..., : key.shape[2]], value.contiguous())
