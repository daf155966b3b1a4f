"""What the sampler's stages pass to one another, in the order in which kernels take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from engine.gpu.sampling.sampling_state import SamplingState
from engine.gpu.step.request_state import RequestState


@dataclass(frozen=True, slots=True)
class SampledRows:
    """Which rows of logits are sampled for whom.

    Attributes:
        logits: ``[rows, vocab]``.
        slots: ``[sequences]`` int32, each slot once at most; -1 for padding.
        logit_rows: ``[sequences]`` int32; -1 where nothing is sampled.
        requests: Of the slots.
        state: Likewise.
    """

    logits: Tensor
    slots: Tensor
    logit_rows: Tensor
    requests: RequestState
    state: SamplingState

    @property
    def slot_tables(self) -> tuple[Tensor, ...]:
        """Who is sampled, how long they are and how they sample."""
        requests, state = self.requests, self.state
        lengths = (requests.num_tokens, requests.num_prompt_tokens)
        return (self.slots, self.logit_rows, *lengths, state.numbers, state.integers)

    def scratch(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return memory to work in, with anything in it."""
        return torch.empty(shape, dtype=dtype, device=self.logits.device)


class Scores(NamedTuple):
    """What is sampled from.

    Attributes:
        logits: ``[rows, vocab]``, as the model gave them.
        changed_scores: ``[sequences, vocab]`` float32, in their stead where something changed.
        changed: ``[sequences]`` int32, whether it did.
    """

    logits: Tensor
    changed_scores: Tensor
    changed: Tensor


class Survey(NamedTuple):
    """What is known of each group of a row; see `engine.gpu.sampling.survey_kernels.survey_rows`.

    Attributes:
        largest: ``[accounts, sequences, groups]`` float32.
        firsts: ``[accounts, sequences, groups]`` int32.
        masses: ``[accounts, sequences, groups]`` float32.
        leads: ``[accounts, sequences, groups]`` float32.
        winners: ``[accounts, sequences, groups]`` int32.
        part_tops: ``[sequences, groups, PARTS]`` float32.
    """

    largest: Tensor
    firsts: Tensor
    masses: Tensor
    leads: Tensor
    winners: Tensor
    part_tops: Tensor


class Candidates(NamedTuple):
    """What may be drawn where tokens are left out; see `engine.gpu.sampling.candidate_kernels`.

    Attributes:
        cutoffs: ``[sequences]`` float32.
        totals: ``[sequences]`` float32.
        sizes: ``[sequences]`` int32.
        scores: ``[sequences, CAPACITY]`` float32.
        tokens: ``[sequences, CAPACITY]`` int32.
    """

    cutoffs: Tensor
    totals: Tensor
    sizes: Tensor
    scores: Tensor
    tokens: Tensor
