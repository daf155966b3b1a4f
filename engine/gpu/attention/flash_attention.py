"""FlashAttention-3 over the same pages, where it is installed (Shah et al. 2024; Hopper only).

Its paged interface reads keys as ``[block, token, heads, dim]``, which is how they are stored here.
It knows nothing of personas that are read together, of sinks, or of eight-bit keys, so it serves
only models without those, and only the kinds of step in which it was faster when both were tried.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.decoder.spec import DecoderSpec

logger = logging.getLogger(__name__)

_MODULE = "flash_attn_interface"
"""What the package ``flash-attn-3`` installs."""
_MOST_DIM = 256


@dataclass(frozen=True, slots=True)
class PagedSequences:
    """A step's sequences as FlashAttention takes them, all int32.

    Attributes:
        first_queries: ``[sequences + 1]`` where each sequence's new tokens begin.
        lengths: ``[sequences]`` keys stored, new ones included; 0 for padding.
        tables: ``[sequences, blocks]`` block ids.
        most_queries: New tokens of one sequence at most.
    """

    first_queries: Tensor
    lengths: Tensor
    tables: Tensor
    most_queries: int


class FlashAttention:
    """Calls it.

    Args:
        with_kvcache: ``flash_attn_interface.flash_attn_with_kvcache``.
    """

    def __init__(self, with_kvcache: Callable[..., Any]) -> None:
        self._with_kvcache = with_kvcache

    @classmethod
    def find(cls, device: torch.device) -> FlashAttention | None:
        """Return it if it is installed and the device can run it."""
        if device.type != "cuda" or torch.cuda.get_device_capability(device)[0] != 9:
            return None
        try:
            found = importlib.import_module(_MODULE)
            return cls(found.flash_attn_with_kvcache)
        except (ImportError, OSError, AttributeError) as error:
            logger.info("FlashAttention-3 is not used: %s", error)
            return None

    def attend(
        self,
        query: Tensor,
        keys: Tensor,
        values: Tensor,
        sequences: PagedSequences,
        *,
        scaling: float,
        window: int | None = None,
        softcap: float | None = None,
    ) -> Tensor:
        """Attend for all tokens of a step; see `engine.gpu.attention.paged_attention.attend`."""
        found = self._with_kvcache(
            query,
            keys,
            values,
            cache_seqlens=sequences.lengths,
            page_table=sequences.tables,
            cu_seqlens_q=sequences.first_queries,
            max_seqlen_q=sequences.most_queries,
            softmax_scale=scaling,
            causal=True,
            window_size=(-1, -1) if window is None else (window - 1, 0),
            softcap=softcap or 0.0,
        )
        out: Tensor = found[0] if isinstance(found, tuple) else found
        return out


def why_not_flash(spec: DecoderSpec, kv_dtype: torch.dtype) -> str | None:
    """Say what of a model FlashAttention-3 does not compute; ``None`` if it computes everything.

    Args:
        spec: The model.
        kv_dtype: What keys and values are kept in.
    """
    if any(layer.sinks is not None for layer in spec.layers):
        return "the model has attention sinks"
    if spec.head_dim > _MOST_DIM:
        return f"its heads are {spec.head_dim} wide"
    if spec.dtype not in (torch.bfloat16, torch.float16):
        return f"it computes in {spec.dtype}"
    if kv_dtype != spec.dtype:
        return f"keys are kept as {kv_dtype}"
    return None
