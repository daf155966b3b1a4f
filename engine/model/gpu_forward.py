"""Steps a decoder on a GPU: products by torch or by kernels of ours, and kernels between them.

Per layer ten launches or a few more: norm, q/k/v product, head norms with rotary positions and the
KV write, attention and its merging, output product, norm with the residual added, gate and up
product, gate, down product; the residual of a layer's end is added by the norm of the next.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.attention.kv_store import KVStore, LayerShape
from engine.attention.metadata import Span
from engine.attention.transfer import bring
from engine.decoder.spec import DecoderSpec
from engine.gpu.attention.choose_attention import AttentionChoice
from engine.gpu.attention.device_work import DeviceStep
from engine.gpu.attention.paged_attention import attend
from engine.gpu.attention.span_step import send_spans
from engine.gpu.attention.work_planner import WorkPlanner
from engine.gpu.linear.weights import DecoderWeights, Layer
from engine.gpu.rows import gate_rows, norm_rows, place
from engine.model.draw import DrawRow
from engine.model.draw import draw as draw_in_torch
from engine.model.forward import Logits


class GpuForward:
    """A decoder with KV memory on a device.

    Args:
        weights: Which several may share.
        num_blocks: Blocks of KV memory.
        kv_dtype: What keys and values are kept in; as activations if none is given.

    Attributes:
        planner: Cuts its steps' attention.
        attention: Which steps' attention is left to somebody else.
    """

    def __init__(
        self, weights: DecoderWeights, num_blocks: int, *, kv_dtype: torch.dtype | None = None
    ) -> None:
        spec = weights.spec
        shapes = [
            LayerShape(spec.kv_heads, spec.head_dim, spec.head_dim, layer.window)
            for layer in spec.layers
        ]
        self._weights = weights
        self._spec = spec
        self._store = KVStore(
            shapes, num_blocks, dtype=kv_dtype or spec.dtype, device=weights.device
        )
        self.planner = WorkPlanner(
            [layer.window for layer in spec.layers],
            spec.heads,
            spec.kv_heads,
            one_tile=weights.deterministic,
        )
        self.attention = AttentionChoice()

    @property
    def store(self) -> KVStore:
        """Where keys and values live."""
        return self._store

    @property
    def spec(self) -> DecoderSpec:
        """What the model computes."""
        return self._spec

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._weights.device

    def set_num_threads(self, num_threads: int) -> None:
        """Leave it to the device."""

    @torch.inference_mode()
    def run(
        self, spans: Sequence[Span], token_ids: Sequence[int], logit_rows: Sequence[int]
    ) -> Logits | None:
        """Compute new tokens; see `engine.model.forward.Forward`."""
        x = self.body(send_spans(spans, token_ids, self.planner, self.device))
        if not len(logit_rows):
            return None
        return Logits(self.read_out(x[bring(logit_rows, self.device)]))

    def draw(self, logits: Tensor, rows: Sequence[DrawRow]) -> list[int]:
        """Draw a token from each row; see `engine.model.draw.Draw`."""
        return draw_in_torch(logits, rows)

    def body(self, step: DeviceStep) -> Tensor:
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

    def read_out(self, x: Tensor) -> Tensor:
        """Return ``[rows, vocab]`` logits of what `body` returned; float32 if they are changed."""
        logits = self._weights.head(x)
        softcap = self._spec.logit_softcap
        if self._spec.logit_scale != 1.0 or softcap is not None:
            logits = logits.float() * self._spec.logit_scale
        return logits if softcap is None else torch.tanh(logits / softcap) * softcap

    def _attend(self, index: int, layer: Layer, x: Tensor, step: DeviceStep) -> Tensor:
        """Return ``[tokens, heads * dim]``."""
        spec = self._spec
        keys, values = self._store.keys[index], self._store.values[index]
        key_scales = self._store.key_scales[index]
        value_scales = self._store.value_scales[index]
        query = x.new_empty(len(x), spec.heads, spec.head_dim)
        place(
            layer.qkv(x),
            query,
            keys,
            values,
            step.positions,
            step.kv_slots,
            rotary=layer.spec.rotary,
            query_norm=layer.spec.query_norm,
            key_norm=layer.spec.key_norm,
            epsilon=spec.epsilon,
            key_scales=key_scales,
            value_scales=value_scales,
        )
        if step.sequences is not None and self.attention.flash is not None:
            return self.attention.flash.attend(
                query,
                keys,
                values,
                step.sequences,
                scaling=layer.spec.scaling,
                window=layer.spec.window,
                softcap=layer.spec.softcap,
            ).flatten(1)
        out = attend(
            query,
            keys,
            values,
            step.work[layer.spec.window],
            scaling=layer.spec.scaling,
            window=layer.spec.window,
            softcap=layer.spec.softcap,
            sinks=layer.spec.sinks,
            key_scales=key_scales,
            value_scales=value_scales,
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
