"""What a decoder computes, as plain numbers and weights; faster tiers run from this alone.

One layer is::

    x = x + scale * after(attention(before(x)))      after and before are norms, or nothing
    x = x + scale * after(down(act(gate(y)) * up(y)))         with y = before(x)

with root mean square norms, grouped-query attention with rotary positions (the second half of a
head turns with the first), optional norms of queries and keys, head by head or over all of them, a
window, a cap on scores, and sinks. Llama, Qwen 2 and 3, Mistral, Gemma 1 to 3, Phi-3, Granite and
OLMo 2 and 3 are all of this form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine.decoder.quantised import QuantisedWeight

Activation = Literal["silu", "gelu_tanh", "gelu"]


class MergedLinear:
    """Several linear layers over the same input, as one; hands its weights over once.

    Args:
        parts: The layers, in the order of their outputs. One whose checkpoint holds it in fewer
            bits has them as ``quantised``, a `QuantisedWeight`, beside its dequantised weight.
    """

    def __init__(self, parts: Sequence[torch.nn.Linear]) -> None:
        self._parts = list(parts)
        self.in_features = parts[0].in_features
        self.out_features = sum(part.out_features for part in parts)

    def take(self) -> tuple[Tensor | QuantisedWeight, Tensor | None]:
        """Return ``[out, in]`` and ``[out]`` or ``None``, and empty the layers they come from.

        The weight is quantised where all layers are, and alike.
        """
        quantised = [getattr(part, "quantised", None) for part in self._parts]
        stored = [weight for weight in quantised if weight is not None]
        if len(stored) < len(quantised) or not QuantisedWeight.are_alike(stored):
            return self.take_dense()
        bias = self._bias()
        self._empty()
        return QuantisedWeight.cat(stored), bias

    def take_dense(self) -> tuple[Tensor, Tensor | None]:
        """Likewise, dequantised."""
        weights = [part.weight.detach() for part in self._parts]
        weight = torch.cat(weights) if len(weights) > 1 else weights[0]
        bias = self._bias()
        self._empty()
        return weight, bias

    def _bias(self) -> Tensor | None:
        if all(part.bias is None for part in self._parts):
            return None
        return torch.cat(
            [
                torch.zeros(part.out_features) if part.bias is None else part.bias.detach().float()
                for part in self._parts
            ]
        )

    def _empty(self) -> None:
        parts, self._parts = self._parts, []
        for part in parts:
            part.weight = torch.nn.Parameter(part.weight.new_empty(0), requires_grad=False)
            part.quantised = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSpec:
    """One layer. Norms are effective float32 weights, so ``1 + w`` where a family means that.

    Attributes:
        attention_norm: ``[hidden]`` before attention; ``None`` where there is none.
        query_norm: ``[head_dim]`` for each head by itself, ``[heads * head_dim]`` for all of them
            together, or ``None``.
        key_norm: Likewise, ``[kv_heads * head_dim]`` for all together.
        after_attention_norm: ``[hidden]`` over attention's output, or ``None``.
        mlp_norm: ``[hidden]`` before the feed-forward part, or ``None``.
        after_mlp_norm: ``[hidden]`` over its output, or ``None``.
        qkv: ``hidden -> heads * dim + 2 * kv_heads * dim``.
        output: ``heads * dim -> hidden``.
        gate_up: ``hidden -> 2 * intermediate``, the gates first.
        down: ``intermediate -> hidden``.
        rotary: ``[positions, rotary_dim]`` float32, cosines of the first half and then sines; one
            tensor for all layers that share it. ``None`` where positions play no part.
        scaling: Multiplies the scores.
        softcap: Scores are squashed to ``softcap * tanh(scores / softcap)``.
        window: How many keys a query sees, itself included; ``None`` for all.
        sinks: ``[heads]`` float32, or ``None``.
    """

    attention_norm: Tensor | None
    query_norm: Tensor | None
    key_norm: Tensor | None
    after_attention_norm: Tensor | None
    mlp_norm: Tensor | None
    after_mlp_norm: Tensor | None
    qkv: MergedLinear
    output: MergedLinear
    gate_up: MergedLinear
    down: MergedLinear
    rotary: Tensor | None
    scaling: float
    softcap: float | None
    window: int | None
    sinks: Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderSpec:
    """A whole decoder.

    Attributes:
        layers: In order.
        final_norm: ``[hidden]`` effective float32 weight.
        embedding: ``[vocab, hidden]``; ``None`` when it is the output projection's weight.
        head: ``hidden -> vocab``.
        hidden: Width of the residual stream.
        heads: Query heads.
        kv_heads: Key heads.
        head_dim: Width of a head.
        intermediate: Width of the feed-forward part.
        vocab: Width of the logits.
        rotary_dim: How much of a head turns.
        activation: Of the gates.
        epsilon: Of every norm.
        embedding_scale: Multiplies embeddings.
        residual_scale: Multiplies what is added to the residual stream.
        logit_scale: Multiplies logits.
        logit_softcap: Logits are squashed likewise; ``None`` for not.
        dtype: Of weights, activations and KV.
    """

    layers: tuple[LayerSpec, ...]
    final_norm: Tensor
    embedding: Tensor | None
    head: MergedLinear
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    rotary_dim: int
    activation: Activation
    epsilon: float
    embedding_scale: float
    residual_scale: float
    logit_scale: float
    logit_softcap: float | None
    dtype: torch.dtype
