"""Keeps rows to their grammars: every token that a row's grammar does not allow goes to -inf.

This is done first of all changes to the logits. What follows only ever adds finite amounts or bans
more, so the result is the same as if it were done last, and two rules come out right by themselves:
``min_tokens`` lifts its ban of end tokens when a complete grammar allows nothing else (see
`engine.model.penalties`), and a row whose bans leave nothing of what the grammar allows is noticed
like any other row without a candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np
import torch
from llguidance import LLExecutor
from torch import Tensor

from engine.errors import InvalidGrammar
from engine.grammar.state import CompiledGrammar, GrammarState, fill_masks
from engine.grammar.vocabulary import Mask
from engine.model.slot_state import SlotState
from engine.sampling_params import Grammar


class Allowed(NamedTuple):
    """What the grammars of a step allow.

    Attributes:
        rows: Constrained rows that can go on.
        masks: ``[len(rows), words]`` a bit per token, set where it is allowed.
        failed: A sentence for each row that cannot.
    """

    rows: list[int]
    masks: Mask
    failed: dict[int, str]


class GrammarMasks:
    """Makes and applies the masks of one step; a step without constrained rows costs nothing.

    Args:
        compiled: Gives a grammar that the gate has let pass.
        num_words: Words of 32 bits in a mask.
        eos_token_ids: The model's end tokens, for requests that have none.
        executor: Threads to make the masks of a large batch with; ``None`` for none.
    """

    def __init__(
        self,
        compiled: Callable[[Grammar], CompiledGrammar],
        num_words: int,
        eos_token_ids: Collection[int],
        executor: LLExecutor | None = None,
    ) -> None:
        self._compiled = compiled
        self._eos_token_ids = eos_token_ids
        self._executor = executor
        self._masks: Mask = np.zeros((1, num_words), dtype=np.uint32)

    def apply(self, logits: Tensor, states: Sequence[SlotState]) -> dict[int, str]:
        """Forbid in place what the grammars do not allow.

        Args:
            logits: ``[len(states), vocab]``, float32.
            states: Row ``i`` belongs to ``states[i]``; its place in the grammar is kept in it.

        Returns:
            A sentence for each row that cannot go on, whose logits are left as they are.
        """
        allowed = self.of(states)
        if allowed.rows:
            _forbid(logits, allowed.rows, allowed.masks)
        return allowed.failed

    def of(self, states: Sequence[SlotState]) -> Allowed:
        """Return what the grammars of some rows allow next; see `apply`."""
        failed: dict[int, str] = {}
        rows: list[int] = []
        replies: list[GrammarState] = []
        for row, state in enumerate(states):
            if state.params.grammar is None:
                continue
            try:
                reply = self._reply(state)
            except InvalidGrammar as error:
                failed[row] = error.message
                continue
            reply.advance(state.token_ids, state.num_prompt_tokens)
            rows.append(row)
            replies.append(reply)
        masks = self._buffer(len(rows))
        if not rows:
            return Allowed([], masks, failed)
        fill_masks(replies, masks, self._executor)
        good = []
        has_choice = set(np.flatnonzero(masks.any(axis=1)).tolist())
        for index, (row, reply) in enumerate(zip(rows, replies, strict=True)):
            if reply.error:
                failed[row] = reply.error
            elif index not in has_choice:
                failed[row] = (
                    "the grammar allows no token of this model here; if the reply is complete, "
                    "give it an end token by stop_token_ids"
                )
            else:
                good.append(index)
        chosen = masks if len(good) == len(rows) else masks[good]
        return Allowed([rows[index] for index in good], chosen, failed)

    def _reply(self, state: SlotState) -> GrammarState:
        if state.reply_in_grammar is None:
            assert state.params.grammar is not None
            compiled = self._compiled(state.params.grammar)
            state.reply_in_grammar = compiled.start(state.stop_token_ids or self._eos_token_ids)
        return state.reply_in_grammar

    def _buffer(self, num_rows: int) -> Mask:
        if num_rows > len(self._masks):
            self._masks = np.zeros((2 * num_rows, self._masks.shape[1]), dtype=np.uint32)
        return self._masks[:num_rows]


def _forbid(logits: Tensor, rows: list[int], masks: Mask) -> None:
    vocab = logits.shape[1]
    if logits.device.type == "cpu":  # several times faster than torch's own ways
        bits = np.unpackbits((~masks).view(np.uint8), axis=1, count=vocab, bitorder="little")
        forbidden, scores = bits.view(np.bool_), logits.numpy()
        if len(rows) == len(logits):
            np.copyto(scores, -np.inf, where=forbidden)
        else:
            for row, forbidden_there in zip(rows, forbidden, strict=True):
                np.copyto(scores[row], -np.inf, where=forbidden_there)
        return
    words = torch.from_numpy(masks.view(np.int32)).to(logits.device)
    places = torch.arange(32, dtype=torch.int32, device=logits.device)
    bits_on_device = (words.unsqueeze(-1) >> places) & 1
    forbidden_on_device = (bits_on_device == 0).flatten(1)[:, :vocab]
    if len(rows) == len(logits):
        logits.masked_fill_(forbidden_on_device, float("-inf"))
    else:
        logits[rows] = logits[rows].masked_fill_(forbidden_on_device, float("-inf"))
