"""Sequences in slots, sampled by the kernels and by the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from engine.gpu.sampling.sample import sample
from engine.gpu.sampling.sampling_state import SamplingState, SlotSampling
from engine.gpu.step.request_state import RequestState
from tests.gpu.sampling_reference import Bools, choose

UNTOUCHED = -99


def numbers(values: Sequence[int], device: torch.device) -> Tensor:
    """Int32 on the device."""
    return torch.tensor(values, dtype=torch.int32, device=device)


def packed(masks: Sequence[Bools | None], device: torch.device) -> Tensor:
    """Bits of masks, 32 to a word, none where there is none."""
    length = max(len(mask) for mask in masks if mask is not None)
    padded = np.zeros((len(masks), -(-length // 32) * 32), dtype=np.bool_)
    for row, mask in zip(padded, masks, strict=True):
        row[:length] = False if mask is None else mask
    bits = np.packbits(padded, axis=1, bitorder="little").view(np.int32)
    return torch.from_numpy(bits).to(device)


@dataclass
class Case:
    """Sequences in slots from 0 on.

    Attributes:
        vocab: Columns of the logits.
        hows: How each samples.
        texts: Prompt and reply of each.
        num_prompts: How much of each is the prompt.
        device: Where.
        max_tokens: Room in a slot.
    """

    vocab: int
    hows: Sequence[SlotSampling]
    texts: Sequence[Sequence[int]]
    num_prompts: Sequence[int]
    device: torch.device
    max_tokens: int = 320
    requests: RequestState = field(init=False)
    state: SamplingState = field(init=False)

    def __post_init__(self) -> None:
        self.requests = RequestState(len(self.hows), self.max_tokens, self.device)
        self.state = SamplingState(len(self.hows), self.vocab, self.device)
        for slot in range(len(self.hows)):
            self.load(slot)

    @classmethod
    def alike(
        cls, vocab: int, hows: Sequence[SlotSampling], device: torch.device, text: Sequence[int]
    ) -> Case:
        """All with the same text, of which the last two tokens are the reply."""
        return cls(vocab, hows, [text] * len(hows), [len(text) - 2] * len(hows), device)

    def load(self, slot: int) -> None:
        """Give the slot to its sequence."""
        text, num_prompt = self.texts[slot], self.num_prompts[slot]
        self.requests.load(
            slot,
            text,
            num_prompt_tokens=num_prompt,
            num_computed=len(text) - 1,
            block_table=[slot],
        )
        self.state.load(slot, text, num_prompt, self.hows[slot])

    def sample(
        self,
        logits: Tensor,
        *,
        slots: Sequence[int] | None = None,
        rows: Sequence[int] | None = None,
        masks: Sequence[Bools | None] | None = None,
        changes: bool | None = None,
        filters: bool | None = None,
    ) -> list[int]:
        """Sample slots from rows, all in order if nothing is said; one token computed for each."""
        slots = range(len(self.hows)) if slots is None else slots
        rows = slots if rows is None else rows
        out = numbers([UNTOUCHED] * len(slots), self.device)
        flags = None if masks is None else numbers([m is not None for m in masks], self.device)
        sample(
            logits,
            numbers(slots, self.device),
            numbers(rows, self.device),
            numbers([1] * len(slots), self.device),
            self.requests,
            self.state,
            out,
            changes=any(h.changes_logits for h in self.hows) if changes is None else changes,
            filters=any(h.filters for h in self.hows) if filters is None else filters,
            masks=None if masks is None else packed(masks, self.device),
            masked=flags,
        )
        return [int(token) for token in out.tolist()]

    def expected(self, logits: Tensor, masks: Sequence[Bools | None] | None = None) -> list[int]:
        """What the reference chooses, row for slot."""
        given = zip(self.hows, self.texts, self.num_prompts, strict=True)
        return [
            choose(
                logits[slot].double().cpu().numpy(),
                how,
                text,
                num_prompt,
                None if masks is None else masks[slot],
            )
            for slot, (how, text, num_prompt) in enumerate(given)
        ]
