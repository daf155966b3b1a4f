"""Steps a decoder on a GPU: products by torch, everything between them by this room's kernels.

Per layer nine launches: norm, q/k/v product, head norms with rotary positions and the KV write,
attention and its merging, output product, norm with the residual added, gate and up product, gate,
down product; the residual of a layer's end is added by the norm of the next.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from engine.attention.kv_store import KVStore, LayerShape
from engine.config import BLOCK_SIZE
from engine.gpu.paged_attention import LARGE_ROWS, DeviceWork, attend
from engine.gpu.rows import gate_rows, norm_rows, place
from engine.gpu.weights import DecoderWeights, Layer
from engine.gpu.work_list import plan_work
from engine.model.draw import DrawRow
from engine.model.draw import draw as draw_in_torch
from engine.model.forward import Logits, Span


class GpuForward:
    """A decoder with KV memory on a device.

    Args:
        weights: Which several may share.
        num_blocks: Blocks of KV memory.
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

    @property
    def store(self) -> KVStore:
        """Where keys and values live."""
        return self._store

    def set_num_threads(self, num_threads: int) -> None:
        """Leave it to the device."""

    @torch.inference_mode()
    def run(
        self, spans: Sequence[Span], token_ids: Sequence[int], logit_rows: Sequence[int]
    ) -> Logits | None:
        """Compute new tokens; see `engine.model.forward.Forward`."""
        spec, weights = self._spec, self._weights
        step = _Step(self._weights, spans, token_ids)
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
        if not len(logit_rows):
            return None
        logits = weights.head(x[step.index(logit_rows)]).float() * spec.logit_scale
        if spec.logit_softcap is not None:
            logits = torch.tanh(logits / spec.logit_softcap) * spec.logit_softcap
        return Logits(logits)

    def draw(self, logits: Tensor, rows: Sequence[DrawRow]) -> list[int]:
        """Draw a token from each row; see `engine.model.draw.Draw`."""
        return draw_in_torch(logits, rows)

    def _attend(self, index: int, layer: Layer, x: Tensor, step: _Step) -> Tensor:
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
            step.work(layer.spec.window),
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


class _Step:
    """One step's packed batch on the device.

    Attributes:
        token_ids: ``[tokens]`` int32.
        positions: ``[tokens]`` int32.
        slots: ``[tokens]`` int32, where each token's key and value go.
    """

    def __init__(
        self, weights: DecoderWeights, spans: Sequence[Span], token_ids: Sequence[int]
    ) -> None:
        self._spans = spans
        self._device = weights.device
        self._share = weights.spec.heads // weights.spec.kv_heads
        self._work: dict[int | None, DeviceWork] = {}
        positions = np.concatenate(
            [np.arange(span.start, span.start + span.num_tokens) for span in spans]
        )
        blocks = np.concatenate(
            [
                np.array(span.block_table)[
                    np.arange(span.start, span.start + span.num_tokens) // BLOCK_SIZE
                ]
                for span in spans
            ]
        )
        slots = blocks * BLOCK_SIZE + positions % BLOCK_SIZE
        packed = self.index(np.stack([np.asarray(token_ids), positions, slots]).astype(np.int32))
        self.token_ids, self.positions, self.slots = packed

    def work(self, window: int | None) -> DeviceWork:
        """Return the attention's work for layers with this window."""
        found = self._work.get(window)
        if found is None:
            most = max(1, LARGE_ROWS // self._share)
            plan = plan_work(self._spans, window=window, most_queries=most)
            found = self._work[window] = DeviceWork.of(plan, self._share, self._device)
        return found

    def index(self, numbers: Sequence[int] | np.ndarray) -> Tensor:
        """Send small numbers, as int32, without waiting for the device."""
        tensor = torch.from_numpy(np.asarray(numbers, dtype=np.int32))
        if self._device.type == "cuda":
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor
