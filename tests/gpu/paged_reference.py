"""FlashAttention-3's paged interface in plain torch, for where it is not installed."""

from __future__ import annotations

import torch
from torch import Tensor


def with_kvcache(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    cache_seqlens: Tensor,
    page_table: Tensor,
    cu_seqlens_q: Tensor,
    max_seqlen_q: int,
    softmax_scale: float,
    causal: bool,
    window_size: tuple[int, int],
    softcap: float,
) -> Tensor:
    """What ``flash_attn_with_kvcache`` computes, by its documentation."""
    assert causal
    assert not softcap
    out = torch.zeros_like(query)
    firsts = cu_seqlens_q.tolist()
    for i, (first, last) in enumerate(zip(firsts[:-1], firsts[1:], strict=True)):
        length = int(cache_seqlens[i])
        assert last - first <= max_seqlen_q
        key, value = (
            cache[page_table[i].long()]
            .flatten(0, 1)[:length]
            .repeat_interleave(query.shape[1] // cache.shape[2], dim=1)
            for cache in (keys, values)
        )
        for token in range(first, last):
            end = length - (last - 1 - token)
            begin = 0 if window_size[0] < 0 else max(0, end - 1 - window_size[0])
            scores = torch.einsum("hd,shd->hs", query[token], key[begin:end]) * softmax_scale
            out[token] = torch.einsum("hs,shd->hd", scores.softmax(-1), value[begin:end])
    return out
