"""Uncached duplicates of one prefix: the first computes it, the others wait and find it cached.

SGLang's idea, by block: whoever is about to compute a block that somebody in the batch is computing
already *follows*, until that block is there or given up. A character whom fifty people open at once
is read once.
"""

from __future__ import annotations

from engine.request import Request
from engine.scheduler.waiting import WaitingQueue


class PrefixLeaders:
    """Which blocks are being computed, by identity, and by whom.

    Args:
        queue: Where followers wait.
        block_size: Tokens per block.
    """

    def __init__(self, queue: WaitingQueue, block_size: int) -> None:
        self._queue = queue
        self._block_size = block_size
        self._leaders: dict[bytes, Request] = {}
        self._blocks: dict[Request, list[tuple[int, bytes]]] = {}

    def is_computing(self, block_hash: bytes) -> bool:
        """Whether somebody in the batch computes a block with this identity."""
        return block_hash in self._leaders

    def lead(self, request: Request, hashes: list[bytes]) -> None:
        """Note which blocks a request that joins the batch is going to fill.

        Args:
            request: It computes from ``num_computed_tokens`` on.
            hashes: Identities of the full blocks from there to the end of its tokens.
        """
        first = request.num_computed_tokens // self._block_size
        own = [
            (first + index, block_hash)
            for index, block_hash in enumerate(hashes)
            if block_hash not in self._leaders
        ]
        if own:
            own.reverse()  # the next one last, to be popped
            self._blocks[request] = own
            self._leaders.update((block_hash, request) for _, block_hash in own)

    def advance(self, request: Request) -> None:
        """Wake the followers of blocks that have been computed."""
        blocks = self._blocks.get(request)
        if blocks is None:
            return
        num_full = request.num_computed_tokens // self._block_size
        while blocks and blocks[-1][0] < num_full:
            self._give_up(blocks.pop()[1])
        if not blocks:
            del self._blocks[request]

    def resign(self, request: Request) -> None:
        """Wake all followers; one of them will lead."""
        for _, block_hash in self._blocks.pop(request, ()):
            self._give_up(block_hash)

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless each block has the leader who lists it."""
        listed = {h: r for r, blocks in self._blocks.items() for _, h in blocks}
        assert listed == self._leaders, "leaders and blocks differ"

    def _give_up(self, block_hash: bytes) -> None:
        del self._leaders[block_hash]
        self._queue.block_ready(block_hash)
