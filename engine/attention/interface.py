"""The one place where transformers' modelling code hands its attention over to us.

transformers looks an attention function up by name for every layer of every forward
(`AttentionInterface`). We register one function; what it does is decided by the backend that is
active in the calling context, so that a model can be probed, checked and served without being
changed in between. A name without a registered mask function gets no mask built, which is what a
packed batch needs: the backend alone knows which rows belong together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import AttentionInterface

from engine.errors import UnsupportedModel

ATTENTION_NAME = "kaiwa_paged"
"""What the model's configuration calls our attention."""


@dataclass(frozen=True, slots=True)
class AttentionCall:
    """One layer's attention over a packed batch; rope and head norms are already applied.

    Attributes:
        layer: Index of the layer, from 0.
        query: ``[heads, tokens, head_dim]``.
        key: ``[kv_heads, tokens, head_dim]``.
        value: ``[kv_heads, tokens, value_dim]``.
        scaling: Multiplies the scores.
        window: How many keys a query sees, itself included; ``None`` for all.
        softcap: Scores are squashed to ``softcap * tanh(scores / softcap)``.
        sinks: ``[heads]``, one extra logit per head that takes mass and gives nothing.
    """

    layer: int
    query: Tensor
    key: Tensor
    value: Tensor
    scaling: float
    window: int | None
    softcap: float | None
    sinks: Tensor | None


class AttentionBackend(Protocol):
    """Computes attention for one step."""

    def attend(self, call: AttentionCall) -> Tensor:
        """Return ``[tokens, heads, value_dim]`` in the query's dtype."""
        ...


_active: ContextVar[AttentionBackend | None] = ContextVar("attention_backend", default=None)


@contextmanager
def attending(backend: AttentionBackend) -> Iterator[None]:
    """Let ``backend`` answer every attention call of this thread until the block ends."""
    token = _active.set(backend)
    try:
        yield
    finally:
        _active.reset(token)


def register_attention() -> None:
    """Make the name known to transformers; safe to repeat."""
    AttentionInterface.register(ATTENTION_NAME, _attention)


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    backend = _active.get()
    if backend is None:
        raise RuntimeError("paged attention was called outside of a step")
    layer = getattr(module, "layer_idx", None)
    if layer is None or query.shape[0] != 1 or attention_mask is not None:
        raise UnsupportedModel(
            f"{type(module).__name__} calls attention with a mask, with a batch or without a layer "
            "number; this engine runs decoder-only models with plain causal attention"
        )
    if kwargs.get("position_bias") is not None:
        raise UnsupportedModel(
            f"{type(module).__name__} adds a position bias to its attention; "
            "this engine runs models with rotary or learned positions"
        )
    out = backend.attend(
        AttentionCall(
            layer=int(layer),
            query=query[0],
            key=key[0],
            value=value[0],
            scaling=query.shape[-1] ** -0.5 if scaling is None else float(scaling),
            window=sliding_window,
            softcap=softcap,
            sinks=s_aux,
        )
    )
    return out.unsqueeze(0), None
