"""Steps a decoder on a GPU: products by torch, everything between them by kernels of ours.

Per layer nine launches: norm, q/k/v product, head norms with rotary positions and the KV write,
attention and its merging, output product, norm with the residual added, gate and up product, gate,
down product; the residual of a layer's end is added by the norm of the next. Steps in which every
sequence decodes one token are replayed from captured graphs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.attention.kv_store import KVStore, LayerShape
from engine.decoder.spec import DecoderSpec
from engine.gpu.paged_attention import attend
from engine.gpu.rows import gate_rows, norm_rows, place
from engine.gpu.step_buffer import DeviceStep, StepPlan, send
from engine.gpu.weights import DecoderWeights, Layer
from engine.model.decode_graphs import DecodeGraphs
from engine.model.draw import DrawRow
from engine.model.draw import draw as draw_in_torch
from engine.model.forward import Logits, Span


class GpuForward:
    """A decoder with KV memory on a device.

    Args:
        weights: Which several may share.
        num_blocks: Blocks of KV memory.

    Attributes:
        shares_prefixes: Whether sequences with a common beginning read it together.
    """

    def __init__(self, weights: DecoderWeights, num_blocks: int) -> None:
        spec = weights.spec
        shapes = [
            LayerShape(spec.kv_heads, spec.head_dim, spec.head_dim, layer.window)
            for layer in spec.layers
        ]
        self._weights = weights
        self._spec = spec
        self._store = KVStore(shapes, num_blocks, dtype=spec.dtype, device=weights.device)
        self._windows = list(dict.fromkeys(layer.window for layer in spec.layers))
        self.shares_prefixes = True
        self._graphs = None
        if weights.device.type == "cuda":
            self._graphs = DecodeGraphs(self.compute, self._windows, weights.device)

    @property
    def store(self) -> KVStore:
        """Where keys and values live."""
        return self._store

    @property
    def spec(self) -> DecoderSpec:
        """What the model computes."""
        return self._spec

    def set_num_threads(self, num_threads: int) -> None:
        """Leave it to the device."""

    @torch.inference_mode()
    def run(
        self, spans: Sequence[Span], token_ids: Sequence[int], logit_rows: Sequence[int]
    ) -> Logits | None:
        """Compute new tokens; see `engine.model.forward.Forward`."""
        spec = self._spec
        share = spec.heads // spec.kv_heads
        plan = StepPlan(
            spans,
            token_ids,
            self._windows,
            share,
            shares=self.shares_prefixes,
            one_tile=self._weights.deterministic,
        )
        all_decode = len(logit_rows) == len(token_ids) == len(spans)
        if self._graphs is not None and all_decode:
            return Logits(self._graphs.run(plan))
        x = self._body(send(plan, self._windows, self._weights.device))
        if not len(logit_rows):
            return None
        if not all_decode:
            rows = torch.tensor(list(logit_rows), pin_memory=x.is_cuda)
            x = x[rows.to(x.device, non_blocking=True)]
        return Logits(self._read_out(x))

    def draw(self, logits: Tensor, rows: Sequence[DrawRow]) -> list[int]:
        """Draw a token from each row; see `engine.model.draw.Draw`."""
        return draw_in_torch(logits, rows)

    def compute(self, step: DeviceStep) -> Tensor:
        """Launch a step; returns ``[tokens, vocab]`` float32 logits of all its tokens."""
        return self._read_out(self._body(step))

    def _body(self, step: DeviceStep) -> Tensor:
        """Return ``[tokens, hidden]``, normed for the output projection."""
        spec, weights = self._spec, self._weights
        residual = weights.embedding[step.token_ids].float() * spec.embedding_scale
        x = torch.empty_like(residual, dtype=spec.dtype)
        norm_rows(residual, spec.layers[0].attention_norm, x, epsilon=spec.epsilon)
        following = [*(layer.attention_norm for layer in spec.layers[1:]), spec.final_norm]
        for index, (layer, next_norm) in enumerate(zip(weights.layers, following, strict=True)):
            delta = layer.output(self._attend(index, layer, x, step))
            self._add(residual, delta, layer.spec.after_attention_norm, layer.spec.mlp_norm, x)
            gates_and_ups = layer.gate_up(x)
            gated = gates_and_ups.new_empty(len(x), spec.intermediate)
            gate_rows(gates_and_ups, gated, spec.activation)
            self._add(residual, layer.down(gated), layer.spec.after_mlp_norm, next_norm, x)
        return x

    def _read_out(self, x: Tensor) -> Tensor:
        logits = self._weights.head(x).float() * self._spec.logit_scale
        softcap = self._spec.logit_softcap
        return logits if softcap is None else torch.tanh(logits / softcap) * softcap

    def _attend(self, index: int, layer: Layer, x: Tensor, step: DeviceStep) -> Tensor:
        """Return ``[tokens, heads * dim]``."""
        spec = self._spec
        keys, values = self._store.keys[index], self._store.values[index]
        query = x.new_empty(len(x), spec.heads, spec.head_dim)
        place(
            layer.qkv(x),
            query,
            keys,
            values,
            step.positions,
            step.slots,
            rotary=layer.spec.rotary,
            query_norm=layer.spec.query_norm,
            key_norm=layer.spec.key_norm,
            epsilon=spec.epsilon,
        )
        out = attend(
            query,
            keys,
            values,
            step.work[layer.spec.window],
            scaling=layer.spec.scaling,
            window=layer.spec.window,
            softcap=layer.spec.softcap,
            sinks=layer.spec.sinks,
        )
        return out.flatten(1)

    def _add(
        self, residual: Tensor, delta: Tensor, before: Tensor | None, norm: Tensor | None, x: Tensor
    ) -> None:
        norm_rows(
            residual,
            norm,
            x,
            epsilon=self._spec.epsilon,
            delta=delta,
            before=before,
            scale=self._spec.residual_scale,
        )
