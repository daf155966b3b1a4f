"""Steps transformers' own modules over a packed batch, with attention of ours.

Runs every supported family on any device, and is what faster forwards are checked against.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from engine.attention.interface import AttentionBackend, attending
from engine.attention.kv_store import KVStore, LayerShape
from engine.attention.metadata import Span, StepMetadata
from engine.attention.reference import ReferenceAttention
from engine.model.draw import DrawRow
from engine.model.draw import draw as draw_in_torch
from engine.model.forward import Logits

_ROW_MULTIPLE = 4

MakeAttention = Callable[[KVStore, StepMetadata, Sequence[Span]], AttentionBackend]
"""Given the memory, the layout of a step and its sequences."""


def _in_torch(store: KVStore, metadata: StepMetadata, spans: Sequence[Span]) -> AttentionBackend:
    del spans
    return ReferenceAttention(store, metadata)


class TransformersForward:
    """The model as transformers wrote it.

    Rows and logit rows are padded to multiples of four in float32 on CPU: MKL's products take
    another route for few rows that are no multiple of four, and a row's result would depend on how
    many batch-mates there are.

    Args:
        model: A transformers causal language model that was set to our attention.
        layers: What each layer stores.
        num_blocks: Blocks of KV memory.
        make_attention: What attends in a step; in plain torch if none is given.
    """

    def __init__(
        self,
        model: Any,
        layers: Sequence[LayerShape],
        num_blocks: int,
        make_attention: MakeAttention | None = None,
    ) -> None:
        self._model = model
        self._make_attention = make_attention or _in_torch
        self._store = KVStore(layers, num_blocks, dtype=model.dtype, device=model.device)

    @property
    def store(self) -> KVStore:
        """Where keys and values live."""
        return self._store

    def set_num_threads(self, num_threads: int) -> None:
        """Compute with so many threads from now on."""
        torch.set_num_threads(num_threads)

    def run(
        self, spans: Sequence[Span], token_ids: Sequence[int], logit_rows: Sequence[int]
    ) -> Logits | None:
        """Compute new tokens; see `engine.model.forward.Forward`."""
        dtype, device = self._model.dtype, self._model.device
        metadata = StepMetadata(spans, dtype=dtype, device=device)
        self._store.clear_blocks(metadata.fresh_blocks)
        ids = list(token_ids)
        positions = [p for span in spans for p in range(span.start, span.start + span.num_tokens)]
        rows = list(logit_rows)
        if device.type == "cpu" and dtype == torch.float32:
            filler = -len(ids) % _ROW_MULTIPLE
            ids += [ids[-1]] * filler
            positions += [0] * filler
            rows += rows[-1:] * (-len(rows) % _ROW_MULTIPLE)
        inputs: dict[str, Any] = {
            "input_ids": torch.tensor([ids], dtype=torch.int64, device=device),
            "position_ids": torch.tensor([positions], dtype=torch.int64, device=device),
            "use_cache": False,
        }
        with attending(self._make_attention(self._store, metadata, spans)):
            if not rows:
                self._model.base_model(**inputs)
                return None
            keep = torch.tensor(rows, dtype=torch.int64, device=device)
            logits = self._model(**inputs, logits_to_keep=keep).logits[0]
        return Logits(logits[: len(logit_rows)])

    def draw(self, logits: Tensor, rows: Sequence[DrawRow]) -> list[int]:
        """Draw a token from each row; see `engine.model.draw.Draw`."""
        return draw_in_torch(logits, rows)
