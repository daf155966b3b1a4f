"""What the device knows of each sequence: its tokens, how far it has come, where its keys are.

One row per slot. The host says what changes (a sequence takes a slot, a table gets a block); what
follows from a step (a sampled token, a length) is written on the device by the step itself, so the
next step can be launched before anybody has read this one. Everything runs on the stream that
computes, so a slot's heir is loaded after the last step that knew its predecessor.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.attention.transfer import bring
from engine.config import BLOCK_SIZE


class RequestState:
    """Memory for a number of slots: allocated once, never grown.

    Args:
        num_slots: Sequences at a time.
        max_model_len: Longest of them, in tokens.
        device: Where.

    Attributes:
        tokens: ``[slots, max_model_len]`` int32, prompt and reply.
        num_tokens: ``[slots]`` int32, how many of them there are, sampled ones included.
        num_prompt_tokens: ``[slots]`` int32, how many of them are the prompt.
        num_computed: ``[slots]`` int32, how many have their keys stored.
        tables: ``[slots, blocks]`` int32 block ids, oldest first.
    """

    def __init__(self, num_slots: int, max_model_len: int, device: torch.device) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.int32, device=device)

        self.tokens = zeros(num_slots, max_model_len)
        self.num_tokens = zeros(num_slots)
        self.num_prompt_tokens = zeros(num_slots)
        self.num_computed = zeros(num_slots)
        self.tables = zeros(num_slots, -(-max_model_len // BLOCK_SIZE))

    def load(
        self,
        slot: int,
        token_ids: Sequence[int],
        *,
        num_prompt_tokens: int,
        num_computed: int,
        block_table: Sequence[int],
    ) -> None:
        """Give a slot to a sequence."""
        self._write(self.tokens[slot], token_ids)
        self._write(self.tables[slot], block_table)
        self.num_tokens[slot].fill_(len(token_ids))  # assigning would wait for the device
        self.num_prompt_tokens[slot].fill_(num_prompt_tokens)
        self.num_computed[slot].fill_(num_computed)

    def extend_tables(self, news: Sequence[tuple[int, int, Sequence[int]]]) -> None:
        """Put blocks behind the tables of some slots.

        Args:
            news: ``(slot, how many blocks it has, the blocks that follow)``.
        """
        width = self.tables.shape[1]
        places = [slot * width + at + i for slot, at, new in news for i in range(len(new))]
        blocks = [block for _, _, new in news for block in new]
        if places:
            table, device = self.tables.view(-1), self.tables.device
            table.index_copy_(0, bring(places, device, torch.int64), bring(blocks, device))

    def _write(self, row: Tensor, numbers: Sequence[int]) -> None:
        if len(numbers):
            row[: len(numbers)] = bring(numbers, row.device)
