"""Who may join: rows, slots and blocks, and what the others in the batch will still need.

Prompt blocks are taken as a whole when a request joins. A reply grows a block at a time, so room is
kept for what the replies in the batch are expected to grow by; otherwise joining would only mean to
be preempted soon. Lengths are learned (`ReplyLengths`). Not all grow at once, and who ends gives
back a whole prompt, so half of the expected growth is kept free.
"""

from __future__ import annotations

from engine.kv_cache.manager import KVCacheManager
from engine.request import Request
from engine.scheduler.batch import Batch
from engine.scheduler.reply_lengths import ReplyLengths

GROWTH_SHARE = 0.5
"""Of the expected growth, what is kept free."""
ROW_SHARE = 0.9
"""Of the rows, what paced streams may need on average."""
_KIND_TOKENS = 32


class Admission:
    """Keeps account of what the batch is expected to need."""

    def __init__(self, kv_cache: KVCacheManager, batch: Batch, *, max_rows: int) -> None:
        self._kv_cache = kv_cache
        self._batch = batch
        self._max_rows = max_rows
        self._lengths = ReplyLengths()
        self._outlook = 0
        self._paced_rate = 0.0
        self._num_unpaced = 0

    @property
    def outlook(self) -> int:
        """Tokens that the replies in the batch are expected to grow by."""
        return self._outlook

    def expect(self, request: Request) -> int:
        """How long its reply will be, most likely no longer than that."""
        return self._lengths.expect(_kind(request), request.params.max_tokens)

    def has_blocks(self, request: Request) -> bool:
        """Whether a request would find blocks to join and to grow."""
        if not len(self._batch):
            return True  # nobody else could make room
        kv_cache = self._kv_cache
        num_left = kv_cache.num_free_blocks - kv_cache.num_blocks_to_take(request)
        rest = max(0, self.expect(request) - request.num_output_tokens)
        growth = GROWTH_SHARE * (self._outlook + rest)
        return growth <= num_left * kv_cache.block_size

    def has_row(self, request: Request, step_s: float) -> bool:
        """Whether a request could be computed in the coming step."""
        return self._batch.has_row and self.can_share_rows(request, step_s)

    def can_share_rows(self, request: Request, step_s: float) -> bool:
        """Whether a request could be computed if others slept as much as they can.

        Args:
            request: Would join.
            step_s: What a step takes; a listener needs a row in so many of them.
        """
        if not self._batch.slots.num_free:
            return False
        if len(self._batch) < self._max_rows:
            return True
        rows = self._num_unpaced + self._paced_rate * step_s + _rows(request, step_s)
        return rows <= ROW_SHARE * self._max_rows

    def joined(self, request: Request) -> None:
        """Count a request in."""
        request.expected_num_tokens = self.expect(request)
        self._outlook += max(0, request.expected_num_tokens - request.num_output_tokens)
        self._count(request, 1)

    def grew(self, request: Request) -> None:
        """Count a token, once it is part of the reply."""
        if request.num_output_tokens <= request.expected_num_tokens:
            self._outlook -= 1

    def left(self, request: Request) -> None:
        """Count a request out, before it leaves."""
        self._outlook -= max(0, request.expected_num_tokens - request.num_output_tokens)
        self._count(request, -1)

    def ended(self, request: Request) -> None:
        """Learn from a whole reply."""
        self._lengths.learn(_kind(request), request.num_output_tokens)

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless the account is that of the batch."""
        holders = self._batch.slots.holders()
        outlook = sum(max(0, r.expected_num_tokens - r.num_output_tokens) for r in holders)
        assert self._outlook == outlook, "the expected growth is miscounted"
        assert self._num_unpaced == sum(r.playback is None for r in holders)

    def _count(self, request: Request, sign: int) -> None:
        if request.playback is None:
            self._num_unpaced += sign
        else:
            self._paced_rate += sign / request.playback.token_s


def _kind(request: Request) -> int:
    """Requests whose prompts begin alike, with the same character, say, get similar replies."""
    return hash(tuple(request.token_ids[:_KIND_TOKENS]))


def _rows(request: Request, step_s: float) -> float:
    return 1.0 if request.playback is None else step_s / request.playback.token_s
