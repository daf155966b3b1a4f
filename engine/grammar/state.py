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

    def _write_known(self, mask: Mask) -> None:
        """Write the mask of a place that the matcher was not asked about; bit ``size``: the end."""
        if self._ended or self.error:
            mask[:] = 0
            _put(mask, self._grammar.vocabulary.size)
        elif self._grammar.first_mask is not None:
            mask[:] = self._grammar.first_mask

    def _note_error(self) -> None:
        if self._matcher.is_error():
            self.error = _sentence(self._matcher, "it cannot be followed any further")


def fill_masks(
    states: Sequence[GrammarState], masks: Mask, executor: LLExecutor | None = None
) -> None:
    """Write what may come next.

    Args:
        states: One per row, advanced to the end of their replies; all of one vocabulary.
        masks: ``[at least len(states), num_words]``, C-contiguous; row ``i`` is written for
            ``states[i]``, and is of no use when that has an ``error`` afterwards.
        executor: Threads to make many masks with.
    """
    if not states:
        return
    address, size = masks.ctypes.data, masks.strides[0]
    asked = [state._needs_matcher for state in states]
    jobs = [(state._matcher, row) for row, state in enumerate(states) if asked[row]]
    if executor is not None and len(jobs) >= _ENOUGH_FOR_THREADS:
        executor.unsafe_compute_mask_ptr(jobs, address, size, len(masks))
    else:
        for matcher, row in jobs:
            matcher.unsafe_compute_mask_ptr(address + row * size, size)
    # all rows at once: done row by row, this would take longer than most masks
    vocabulary, written = states[0].vocabulary, masks[: len(states)]
    written &= vocabulary.text_mask
    for row, state in enumerate(states):
        if asked[row]:
            state._note_error()
        else:
            state._write_known(written[row])
    _put_ends(states, written, vocabulary.size)


def _put_ends(states: Sequence[GrammarState], masks: Mask, virtual_end: int) -> None:
    """Put each request's end tokens in the place of the virtual one."""
    place = np.uint32(virtual_end & 31)
    complete = masks[:, virtual_end >> 5] >> place & np.uint32(1)
    masks[:, virtual_end >> 5] &= ~(np.uint32(1) << place)
    of_first = states[0]._ends
    if all(state._ends == of_first for state in states):
        groups = [(of_first, slice(None))]
    else:
        groups = [(state._ends, slice(row, row + 1)) for row, state in enumerate(states)]
    for ends, rows in groups:
        for end in ends:
            word, bit = masks[rows, end >> 5], np.uint32(end & 31)
            word &= ~(np.uint32(1) << bit)
            word |= complete[rows] << bit


def _put(mask: Mask, token_id: int) -> None:
    mask[token_id >> 5] |= np.uint32(1 << (token_id & 31))


def _sentence(matcher: LLMatcher, otherwise: str) -> str:
    """Say why a matcher gave up, without what was said."""
    if matcher.stop_reason() in ("ParserTooComplex", "LexerTooComplex"):
        return "the grammar takes more work per token than is allowed; simplify it"
    return f"the grammar has no way on from here: {otherwise}; simplify it"
