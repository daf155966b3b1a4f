"""Replays decode steps from captured CUDA graphs: the host launches one thing instead of hundreds.

A graph belongs to a batch size and a context length, both rounded up; whatever a step lacks is
padding that computes nothing (see `engine.gpu.step_buffer`). Graphs are captured when first needed
and share their memory. Each step writes into the other of two pinned buffers, so that a copy which
has not been made yet is not overwritten by the step after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.gpu.step_buffer import DeviceStep, StepPlan, StepSizes, buffer_length, read_buffer

_SMALL_BATCHES = (1, 2, 4, 8)
_BATCH_STEP = 8
_LEAST_WIDTH = 16
"""Blocks of the shortest context that a graph is made for."""

Compute = Callable[[DeviceStep], Tensor]
"""Launches a step's kernels; returns ``[tokens, vocab]`` logits."""


def rounded(plan: StepPlan) -> StepSizes:
    """Return the sizes of the graph that a step of decodes is replayed from."""
    sizes = plan.sizes
    batch = next(
        (b for b in _SMALL_BATCHES if b >= sizes.tokens),
        -(-sizes.tokens // _BATCH_STEP) * _BATCH_STEP,
    )
    width = max(_LEAST_WIDTH, 1 << (sizes.table_width - 1).bit_length())
    return StepSizes.of_decodes(batch, width, plan.share, one_tile=plan.one_tile)


@dataclass(frozen=True, slots=True)
class _Captured:
    """A graph, what it reads, and what it leaves."""

    graph: torch.cuda.CUDAGraph
    inputs: Tensor
    logits: Tensor


@dataclass(slots=True)
class _Staging:
    """A pinned buffer, and when the last copy out of it was made."""

    numbers: Tensor
    copied: torch.cuda.Event


class DecodeGraphs:
    """Graphs of one decoder.

    Args:
        compute: Launches a step's kernels, and nothing that waits for the device.
        windows: The windows that the model's layers have.
        device: A GPU.
    """

    def __init__(
        self, compute: Compute, windows: Sequence[int | None], device: torch.device
    ) -> None:
        self._compute = compute
        self._windows = windows
        self._device = device
        self._captured: dict[StepSizes, _Captured] = {}
        self._pool = torch.cuda.graph_pool_handle()
        self._staging: list[_Staging] = []
        self._turn = 0

    def run(self, plan: StepPlan) -> Tensor:
        """Replay a step in which every sequence has one new token.

        Returns:
            ``[tokens, vocab]`` logits; the next step with the same graph overwrites them.
        """
        sizes = rounded(plan)
        captured = self._captured.get(sizes)
        if captured is None:
            captured = self._captured[sizes] = self._capture(plan, sizes)
        self._fill(captured.inputs, plan, sizes)
        captured.graph.replay()
        return captured.logits[: plan.num_tokens]

    def _capture(self, plan: StepPlan, sizes: StepSizes) -> _Captured:
        length = buffer_length(sizes, len(self._windows))
        inputs = torch.empty(length, dtype=torch.int32, device=self._device)
        self._fill(inputs, plan, sizes)
        step = read_buffer(inputs, sizes, self._windows)
        side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):  # kernels are compiled and libraries warmed before capture
            self._compute(step)
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            logits = self._compute(step)
        return _Captured(graph, inputs, logits)

    def _fill(self, inputs: Tensor, plan: StepPlan, sizes: StepSizes) -> None:
        staging = self._next_staging(len(inputs))
        staging.copied.synchronize()
        numbers = staging.numbers[: len(inputs)]
        plan.lay_out(sizes, numbers.numpy())
        inputs.copy_(numbers, non_blocking=True)
        staging.copied.record()

    def _next_staging(self, length: int) -> _Staging:
        """Return the buffer of the step before the last, made larger if need be."""
        self._turn = (self._turn + 1) % 2
        while len(self._staging) < 2:
            copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._staging.append(_Staging(torch.empty(0), copied))
        staging = self._staging[self._turn]
        if len(staging.numbers) < length:
            staging.copied.synchronize()
            size = 1 << (length - 1).bit_length()
            staging.numbers = torch.empty(size, dtype=torch.int32, pin_memory=True)
        return staging
