"""Steps a packed decoder through the compiled kernels."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.native.structs import DrawRow, Model, Step


class NativeDecoder:
    """One model with its memory, and the threads that step it; used by one thread at a time.

    Args:
        library: The compiled kernels.
        model: What to run; everything it points to outlives this.
        num_threads: Threads that a step is shared out to, the calling one included.

    Attributes:
        seconds: ``[len(PARTS)]`` where set, each step's time is added to it by part.
    """

    def __init__(self, library: ctypes.CDLL, model: Model, num_threads: int) -> None:
        self._library = library
        self._model = model
        self.seconds: NDArray[np.float64] | None = None
        self._handle = library.kaiwa_create(ctypes.byref(model), num_threads)

    def __del__(self) -> None:
        """End the threads."""
        if getattr(self, "_handle", None):
            self._library.kaiwa_destroy(self._handle)

    def set_num_threads(self, num_threads: int) -> None:
        """Share steps out to so many threads from now on."""
        self._library.kaiwa_set_threads(self._handle, num_threads)

    def step(
        self,
        token_ids: Sequence[int],
        starts: Sequence[int],
        counts: Sequence[int],
        tables: Sequence[array[int]],
        logit_rows: Sequence[int],
    ) -> tuple[Tensor, NDArray[np.int32]]:
        """Compute new tokens and store their keys and values.

        Args:
            token_ids: New tokens of all sequences, one after the other.
            starts: Per sequence, tokens that are stored already.
            counts: Per sequence, new tokens.
            tables: Per sequence, its blocks, oldest first (``array("i")``).
            logit_rows: Which of the new tokens' logits are wanted.

        Returns:
            ``[len(logit_rows), vocab]`` float32, and for each row its likeliest token, -1 where not
            all of them are finite numbers.
        """
        tokens = np.array(token_ids, dtype=np.int32)
        shape = np.array([starts, counts], dtype=np.int32)
        rows = np.array(logit_rows, dtype=np.int32)
        pointers = np.array([table.buffer_info()[0] for table in tables], dtype=np.uint64)
        logits = torch.empty(len(logit_rows), self._model.vocab)
        largest = np.empty(len(logit_rows), dtype=np.int32)
        step = Step(
            tokens=tokens.ctypes.data,
            starts=shape.ctypes.data,
            counts=shape[1].ctypes.data,
            tables=pointers.ctypes.data,
            logit_rows=rows.ctypes.data,
            logits=logits.data_ptr(),
            largest=largest.ctypes.data,
            seconds=None if self.seconds is None else self.seconds.ctypes.data,
            num_tokens=len(tokens),
            num_sequences=len(starts),
            num_logits=len(rows),
        )
        self._library.kaiwa_step(self._handle, ctypes.byref(step))
        return logits, largest

    def draw(self, rows: ctypes.Array[DrawRow], vocab: int) -> list[int]:
        """Draw a token from each row of logits, shared out to the threads.

        Args:
            rows: What they point to is read until this returns.
            vocab: Logits in each row.
        """
        tokens = (ctypes.c_int32 * len(rows))()
        self._library.kaiwa_draw(self._handle, rows, len(rows), vocab, tokens)
        return list(tokens)
