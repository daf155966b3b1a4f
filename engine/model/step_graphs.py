"""Replays steps from captured CUDA graphs: the host launches one thing instead of hundreds.

A graph belongs to a kind of step (see `engine.gpu.step.step_kinds`); whatever a step lacks is
padding that computes nothing. Graphs share their memory. Those of decodes are captured when the
engine starts, the largest first, for as long as it may take; others once they have been wanted. A
step that is the one before it once more finds its numbers on the device already. Any other is laid
out in one of two pinned buffers in turn, so that what has not been copied is not overwritten.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from engine.attention.transfer import bring
from engine.gpu.attention.work_planner import WorkPlanner
from engine.gpu.step.capture import MOST_GRAPHS
from engine.gpu.step.slot_step import (
    SlotPlan,
    SlotStep,
    StepSizes,
    decode_sizes,
    lay_out_nothing,
    layout_of,
    read_step,
)
from engine.gpu.step.step_kinds import KindChooser, StepKind

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What a step leaves on the device; the next step of its kind overwrites it.

    Attributes:
        tokens: ``[sequences]`` int32; see `engine.gpu.sampling.sample`.
        reports: Where they are wanted, log probabilities of the tokens ``[sequences]``, and those
            of the likeliest with their ids, ``[sequences, n]`` each, best first.
    """

    tokens: Tensor
    reports: tuple[Tensor, Tensor, Tensor] | None


Compute = Callable[[SlotStep, StepKind], StepOutput]
"""Launches a step's kernels, and nothing that waits for the device."""


@dataclass(slots=True)
class _Captured:
    """A graph, what it reads, what it leaves, and the plan that it reads now."""

    graph: torch.cuda.CUDAGraph
    inputs: Tensor
    output: StepOutput
    plan: SlotPlan | None = None


@dataclass(slots=True)
class _Staging:
    """A pinned buffer, and when the last copy out of it was made."""

    numbers: Tensor
    copied: torch.cuda.Event


class StepGraphs:
    """The graphs of one model; without a GPU, steps are launched as they come.

    Args:
        compute: Launches a step.
        planner: Of the model.
        device: Where it computes.
    """

    def __init__(self, compute: Compute, planner: WorkPlanner, device: torch.device) -> None:
        self._compute = compute
        self._planner = planner
        self._device = device
        self._captured: dict[StepKind, _Captured] = {}
        self._refused: set[StepKind] = set()
        self._chooser = KindChooser()
        self._staging: list[_Staging] = []
        self._turn = 0
        self._pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None

    def run(self, plan: SlotPlan, *, changes: bool, filters: bool, reports: bool) -> StepOutput:
        """Launch a step.

        Args:
            plan: What to do; the same object means that nothing has changed.
            changes: Whether anybody's logits are changed.
            filters: Whether anybody leaves tokens out.
            reports: Whether anybody wants log probabilities.
        """
        kind = StepKind(plan.rounded_sizes, plan.samples_any, changes, filters, reports)
        if self._pool is None or not kind.may_be_captured:
            return self._launch(plan, kind)
        chosen = self._chooser.choose(kind, self._captured)
        captured = None
        if chosen is not None:
            captured = self._captured.get(chosen) or self._try_capture(chosen)
        if chosen is None or captured is None:
            return self._launch(plan, kind)
        if captured.plan is not plan:
            self._fill(captured.inputs, plan, chosen.sizes)
            captured.plan = plan
        captured.graph.replay()
        return captured.output

    def prepare(self, most_sequences: int, stretches: Iterable[int], seconds: float) -> None:
        """Capture graphs of decodes, the largest batches first, until the time is over.

        Args:
            most_sequences: In a step.
            stretches: Of the longest context in it, the likeliest first.
            seconds: After which no other is begun.
        """
        if self._pool is None:
            return
        started = time.monotonic()
        batches = [most_sequences]
        while batches[-1] > 1:
            batches.append(-(-batches[-1] // 2))
        for longest in stretches:
            for batch in batches:
                if time.monotonic() - started > seconds:
                    return
                sizes = decode_sizes(batch, longest, self._planner)
                kind = StepKind(sizes, samples=True, filters=True)
                if kind not in self._captured and self._try_capture(kind) is None:
                    return

    def warm_up(self, kind: StepKind) -> None:
        """Launch a step of padding alone, so that its kernels are compiled."""
        self._compute(self._lay_out_nothing(self._buffer(kind.sizes), kind.sizes), kind)

    def _launch(self, plan: SlotPlan, kind: StepKind) -> StepOutput:
        """Launch a step's kernels one by one."""
        exact = replace(kind, sizes=plan.sizes)
        inputs = self._buffer(exact.sizes)
        self._fill(inputs, plan, exact.sizes)
        return self._compute(read_step(inputs, exact.sizes, self._planner), exact)

    def _try_capture(self, kind: StepKind) -> _Captured | None:
        """Capture a kind, if it can be; without a graph, steps are slower."""
        if kind in self._refused or len(self._captured) >= MOST_GRAPHS:
            return None
        try:
            self._captured[kind] = self._capture(kind)
        except torch.OutOfMemoryError as error:
            logger.warning("a step is not captured, for want of memory: %s", error)
            self._refused.add(kind)
            return None
        return self._captured[kind]

    def _capture(self, kind: StepKind) -> _Captured:
        """Capture a step of padding alone: it changes nothing, and warms up what it launches."""
        inputs = self._buffer(kind.sizes)
        step = self._lay_out_nothing(inputs, kind.sizes)
        side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):  # kernels are compiled and libraries warmed before capture
            self._compute(step, kind)
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            output = self._compute(step, kind)
        return _Captured(graph, inputs, output)

    def _lay_out_nothing(self, inputs: Tensor, sizes: StepSizes) -> SlotStep:
        nothing = np.empty(len(inputs), dtype=np.int32)
        lay_out_nothing(sizes, len(self._planner.windows), nothing)
        inputs.copy_(bring(nothing, self._device))
        return read_step(inputs, sizes, self._planner)

    def _buffer(self, sizes: StepSizes) -> Tensor:
        length = layout_of(sizes, len(self._planner.windows)).length
        return torch.empty(length, dtype=torch.int32, device=self._device)

    def _fill(self, inputs: Tensor, plan: SlotPlan, sizes: StepSizes) -> None:
        if self._pool is None:
            plan.lay_out(sizes, inputs.numpy())
            return
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
