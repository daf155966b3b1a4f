"""Steps a packed decoder through the compiled kernels."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from engine.attention.metadata import Span
from engine.decoder.pack import PackedDecoder
from engine.decoder.packed_kv_store import PackedKVStore
from engine.decoder.spec import DecoderSpec
from engine.model.draw import DrawRow
from engine.model.forward import Logits
from engine.native import structs
from engine.native.decoder import NativeDecoder


class NativeForward:
    """A packed decoder with KV memory and threads of its own.

    A row's arithmetic depends on that row alone: not on its batch-mates, not on how its prompt was
    cut, not on who shares its beginning.

    Args:
        decoder: The weights, which several may share.
        library: The compiled kernels.
        num_blocks: Blocks of KV memory.
        num_threads: Threads that a step is shared out to.
    """

    def __init__(
        self, decoder: PackedDecoder, library: ctypes.CDLL, num_blocks: int, *, num_threads: int
    ) -> None:
        spec = decoder.spec
        self._store = PackedKVStore(
            decoder.num_layers, num_blocks, spec.kv_heads, decoder.head_dim, spec.dtype
        )
        self._decoder = decoder  # the kernels hold addresses only
        model = decoder.with_memory(self._store.keys, self._store.values)
        self._kernels = NativeDecoder(library, model, num_threads)

    @property
    def store(self) -> PackedKVStore:
        """Where keys and values live."""
        return self._store

    @property
    def spec(self) -> DecoderSpec:
        """What the model computes."""
        return self._decoder.spec

    @property
    def kernels(self) -> NativeDecoder:
        """What computes, for whoever wants to know where the time goes."""
        return self._kernels

    def set_num_threads(self, num_threads: int) -> None:
        """Compute with so many threads from now on.

        torch is left with one: what it still does in a step is small, and its workers would spin
        on the cores that the kernels' threads want.
        """
        torch.set_num_threads(1)
        self._kernels.set_num_threads(num_threads)

    def run(
        self, spans: Sequence[Span], token_ids: Sequence[int], logit_rows: Sequence[int]
    ) -> Logits | None:
        """Compute new tokens; see `engine.model.forward.Forward`."""
        values, largest = self._kernels.step(
            token_ids,
            [span.start for span in spans],
            [span.num_tokens for span in spans],
            [span.block_table for span in spans],
            logit_rows,
        )
        return Logits(values, largest) if logit_rows else None

    def draw(self, logits: Tensor, rows: Sequence[DrawRow]) -> list[int]:
        """Draw a token from each row; see `engine.model.draw.Draw`."""
        if not logits.is_contiguous():
            logits = logits.contiguous()
        start, vocab = logits.data_ptr(), logits.shape[1]
        asked = (structs.DrawRow * len(rows))()
        protected = [np.fromiter(row.protected, dtype=np.int32) for row in rows]
        for i, (row, ids) in enumerate(zip(rows, protected, strict=True)):
            asked[i] = structs.DrawRow(
                logits=start + i * vocab * logits.element_size(),
                protected=ids.ctypes.data,
                num_protected=len(ids),
                top_p=row.top_p,
                uniform=row.uniform,
                temperature=row.temperature,
                min_p=row.min_p,
                xtc_threshold=-1.0 if row.xtc_threshold is None else row.xtc_threshold,
                top_k=row.top_k,
            )
        return self._kernels.draw(asked, vocab)
