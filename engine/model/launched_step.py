"""A step that was launched on a GPU, and its tokens on their way to the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.gpu.sampling.sampling_state import NOT_FINITE, NOTHING_LEFT
from engine.model.sampler import NUMBER_MISSING, logprobs_of, nothing_left
from engine.model.slot_state import SlotState
from engine.model.step_graphs import StepOutput
from engine.outputs import Chunk, ModelRunnerOutput, SampledToken, TokenLogprobs


@dataclass(slots=True)
class Fetched:
    """What a step left, on its way to the host."""

    tensors: list[Tensor]
    arrived: Callable[[], None]

    @classmethod
    def of(cls, output: StepOutput) -> Fetched:
        """Begin to copy a step's output to pinned memory."""
        on_device = [output.tokens, *(output.reports or ())]
        if not output.tokens.is_cuda:
            return cls([tensor.clone() for tensor in on_device], lambda: None)
        pinned = [torch.empty(t.shape, dtype=t.dtype, pin_memory=True) for t in on_device]
        for there, here in zip(on_device, pinned, strict=True):
            here.copy_(there, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        return cls(pinned, event.synchronize)


@dataclass(slots=True)
class Launched:
    """A step that has been launched.

    Attributes:
        chunks: What was computed.
        states: Whose, by chunk; a slot may have another holder by the time this is read.
        fetched: What it leaves; ``None`` for nothing.
        failed: A sentence for each slot that could not sample.
        output: Once it has been read.
    """

    chunks: Sequence[Chunk]
    states: Sequence[SlotState]
    fetched: Fetched | None
    failed: dict[int, str] = field(default_factory=dict)
    output: ModelRunnerOutput | None = None

    def read(self) -> ModelRunnerOutput:
        """Wait for the tokens and put them behind their sequences, once."""
        if self.output is None:
            self.output = ModelRunnerOutput(sampled={}, failed=self.failed)
            if self.fetched is not None:
                self.fetched.arrived()
                self._read(self.fetched.tensors, self.output)
        return self.output

    def _read(self, tensors: Sequence[Tensor], output: ModelRunnerOutput) -> None:
        token_ids = tensors[0].tolist()
        for row, (chunk, state) in enumerate(zip(self.chunks, self.states, strict=True)):
            if not chunk.samples or chunk.slot in output.failed:
                continue
            token_id = token_ids[row]
            if token_id == NOT_FINITE:
                output.failed[chunk.slot] = NUMBER_MISSING
            elif token_id == NOTHING_LEFT:
                output.failed[chunk.slot] = nothing_left(state)
            else:
                report = None if len(tensors) == 1 else _report(tensors[1:], row, state, token_id)
                output.sampled[chunk.slot] = SampledToken(token_id, report)
                state.token_ids.append(token_id)


def _report(
    tensors: Sequence[Tensor], row: int, state: SlotState, token_id: int
) -> TokenLogprobs | None:
    count = state.params.logprobs
    if count is None:
        return None
    chosen, best, ids = (tensor[row] for tensor in tensors)
    return logprobs_of(token_id, float(chosen), ids[:count].tolist(), best[:count].tolist())
