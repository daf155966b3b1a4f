"""How far one reply has come in its grammar, and what may follow.

A state only ever takes in tokens that it has not seen. It can therefore be thrown away and made
anew for a reply of any length, which is what preemption, recomputation and look-ahead come down to.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from llguidance import LLExecutor, LLMatcher

from engine.grammar.vocabulary import Mask, Vocabulary

_ENOUGH_FOR_THREADS = 8
"""Fewer masks are made sooner than threads are woken."""


class CompiledGrammar:
    """A grammar ready to be followed by any number of replies.

    Args:
        matcher: At the start of the grammar; only ever copied.
        vocabulary: What the masks are of.
        first_mask: Which tokens may begin a reply, where they add something else there.
    """

    def __init__(
        self, matcher: LLMatcher, vocabulary: Vocabulary, first_mask: Mask | None = None
    ) -> None:
        self._matcher = matcher
        self.vocabulary = vocabulary
        self.first_mask = first_mask

    def start(self, ends: Collection[int]) -> GrammarState:
        """Begin a reply.

        Args:
            ends: Tokens that end it; ids beyond the vocabulary are passed over.
        """
        return GrammarState(self, self._matcher.deep_copy(), ends)


class GrammarState:
    """One reply's place in its grammar.

    The reply's end tokens may be produced exactly when the grammar is complete, also those that
    would be text elsewhere; after one of them, only they may follow.

    Attributes:
        num_consumed: Tokens of the reply taken in.
        error: Why no mask can be made any more; empty as long as all is well.
    """

    __slots__ = ("_ended", "_ends", "_grammar", "_matcher", "error", "num_consumed")

    def __init__(self, grammar: CompiledGrammar, matcher: LLMatcher, ends: Collection[int]) -> None:
        self._grammar = grammar
        self._matcher = matcher
        self._ends = frozenset(end for end in ends if end < grammar.vocabulary.size)
        self._ended = False
        self.num_consumed = 0
        self.error = ""

    @property
    def vocabulary(self) -> Vocabulary:
        """What the masks are of."""
        return self._grammar.vocabulary

    def advance(self, token_ids: Sequence[int], start: int = 0) -> None:
        """Take in what is new of the reply.

        Args:
            token_ids: From ``start`` on, all tokens of the reply so far; the first
                ``num_consumed`` of them are those taken in before.
            start: Where the reply begins.
        """
        for token_id in token_ids[start + self.num_consumed :]:
            self.num_consumed += 1
            if self._ended or self.error:
                continue
            if token_id in self._ends:
                self._ended = True
            elif not self._consume(token_id):
                self.error = _sentence(self._matcher, "the reply so far is none that it allows")

    def _consume(self, token_id: int) -> bool:
        if self.num_consumed > 1 or self._grammar.first_mask is None:
            return self._matcher.consume_token(token_id)
        spelled = self._grammar.vocabulary.spell_first(token_id)
        return bool(spelled) and self._matcher.consume_tokens(spelled)

    @property
    def _needs_matcher(self) -> bool:
        at_start = self.num_consumed == 0 and self._grammar.first_mask is not None
        return not (self.error or self._ended or at_start)

    def _finish(self, mask: Mask) -> None:
        """Turn what the matcher wrote, if it was asked, into the mask of this reply."""
        end = self._grammar.vocabulary.size
        if self._needs_matcher:
            if self._matcher.is_error():
                self.error = _sentence(self._matcher, "it cannot be followed any further")
            mask &= self._grammar.vocabulary.text_mask
        elif self._ended or self.error:
            mask[:] = 0
            _put(mask, end, True)
        elif self._grammar.first_mask is not None:
            mask[:] = self._grammar.first_mask
        complete = bool(mask[end >> 5] >> np.uint32(end & 31) & 1)
        _put(mask, end, False)
        for token_id in self._ends:
            _put(mask, token_id, complete)


def fill_masks(
    states: Sequence[GrammarState], masks: Mask, executor: LLExecutor | None = None
) -> None:
    """Write what may come next.

    Args:
        states: One per row, advanced to the end of their replies.
        masks: ``[at least len(states), num_words]``, C-contiguous; row ``i`` is written for
            ``states[i]``, and is of no use when that has an ``error`` afterwards.
        executor: Threads to make many masks with.
    """
    address, size = masks.ctypes.data, masks.strides[0]
    jobs = [(state._matcher, row) for row, state in enumerate(states) if state._needs_matcher]
    if executor is not None and len(jobs) >= _ENOUGH_FOR_THREADS:
        executor.unsafe_compute_mask_ptr(jobs, address, size, len(masks))
    else:
        for matcher, row in jobs:
            matcher.unsafe_compute_mask_ptr(address + row * size, size)
    for row, state in enumerate(states):
        state._finish(masks[row])


def _put(mask: Mask, token_id: int, value: bool) -> None:
    bit = np.uint32(1 << (token_id & 31))
    if value:
        mask[token_id >> 5] |= bit
    else:
        mask[token_id >> 5] &= ~bit


def _sentence(matcher: LLMatcher, otherwise: str) -> str:
    """Say why a matcher gave up, without what was said."""
    if matcher.stop_reason() in ("ParserTooComplex", "LexerTooComplex"):
        return "the grammar takes more work per token than is allowed; simplify it"
    return f"the grammar has no way on from here: {otherwise}; simplify it"
