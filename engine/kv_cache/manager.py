"""The KV ledger: which request holds which blocks, what is shared, what is left."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.kv_cache.block_pool import BlockPool
from engine.kv_cache.prefix_cache import PrefixCache, PrefixMatch, chain_hash, root_hash
from engine.request import Request


@dataclass(slots=True)
class _Holding:
    """What one request holds: its block table, and how much of it has an identity."""

    blocks: list[int] = field(default_factory=list)
    num_registered: int = 0
    last_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Admission:
    """What a request starts with.

    Attributes:
        num_cached_tokens: Tokens whose KV is there already.
        block_copy: ``(source, destination)`` of the partly shared block, if there is one.
    """

    num_cached_tokens: int
    block_copy: tuple[int, int] | None
    restores: list[tuple[int, int]] = field(default_factory=list)


class KVCacheManager:
    """Hands out blocks within a fixed budget.

    A request holds blocks from ``admit`` to ``free``. Blocks that fill up become shareable in
    ``commit``; on ``free`` the last, partial one does too, and what was shareable stays in the
    cache until its block is needed.
    """

    def __init__(
        self,
        num_blocks: int,
        *,
        block_size: int,
        enable_prefix_caching: bool = True,
        pinned_share: float = 0.25,
        num_host_slots: int = 0,
    ) -> None:
        self.block_size = block_size
        self.num_blocks = num_blocks
        self._cache = PrefixCache(block_size) if enable_prefix_caching else None
        self._pool = BlockPool(num_blocks, holds_prefix=self._holds_prefix, on_reuse=self._forget)
        self._holdings: dict[str, _Holding] = {}
        self._deferred: list[tuple[int, list[int]]] = []
        self.num_deferred_blocks = 0
        self.num_warm_blocks = 0

    @property
    def num_used_blocks(self) -> int:
        """Blocks held by live requests."""
        return self.num_blocks - self._pool.num_free

    @property
    def num_cached_blocks(self) -> int:
        """Free blocks that still hold a reusable prefix."""
        return self._pool.num_cached

    @property
    def capacity_tokens(self) -> int:
        """Tokens that the whole budget holds."""
        return self.num_blocks * self.block_size

    def holders(self) -> set[str]:
        """Ids of the requests that hold blocks."""
        return set(self._holdings)

    def block_table(self, request_id: str) -> list[int]:
        """Return a copy of a request's block ids, oldest first."""
        return list(self._holdings[request_id].blocks)

    def admit(self, request: Request) -> Admission | None:
        """Give a request blocks for all its present tokens, sharing what the cache has.

        The last token is always left to compute, since its logits are needed. Either everything
        is taken or nothing changes.

        Returns:
            What is cached; ``None`` when the budget cannot cover the rest now.
        """
        assert request.request_id not in self._holdings, f"{request.request_id} is admitted already"
        match = self._match(request)
        self._pool.share(match.block_ids)
        # The tail's source is not held: a step copies before it computes, and reads every source
        # before it writes, so even a source that is handed out again right here is read in time.
        fresh = self._pool.take(self._blocks_for(request.num_tokens) - len(match.block_ids))
        if fresh is None:
            self._pool.release(reversed(match.block_ids))
            return None
        num_full = len(match.block_ids)
        self._holdings[request.request_id] = _Holding(
            [*match.block_ids, *fresh], num_full, match.last_hash
        )
        if match.tail_block_id is None:
            return Admission(num_full * self.block_size, None)
        return Admission(
            num_full * self.block_size + match.num_tail_tokens, (match.tail_block_id, fresh[0])
        )

    @property
    def num_free_blocks(self) -> int:
        """Blocks nobody holds, with or without a reusable prefix."""
        return self._pool.num_free

    def match_length(self, request: Request) -> int:
        """Return how many of a request's tokens are cached now."""
        match = self._match(request)
        return len(match.block_ids) * self.block_size + match.num_tail_tokens

    def missing_hashes(self, request: Request) -> list[bytes]:
        """Return the identities of a request's full blocks that are not cached, oldest first."""
        if self._cache is None:
            return []
        match = self._match(request)
        size = self.block_size
        parent, hashes = match.last_hash, []
        for start in range(len(match.block_ids) * size, request.num_tokens - size + 1, size):
            parent = chain_hash(parent, request.token_ids[start : start + size])
            hashes.append(parent)
        return hashes

    def next_missing_hash(self, request: Request) -> bytes | None:
        """Return the identity of the first full block that is not cached; ``None`` without one."""
        return next(iter(self.missing_hashes(request)), None)

    def take_offloads(self) -> list[tuple[int, int]]:
        """Return what must be copied to host memory before anything is written."""
        return []

    def release_conversation(self, conversation_id: str) -> None:
        """Keep a conversation's blocks no longer than any other."""
        pass

    def end_step(self, step: int) -> None:
        """Give back the blocks that were held until this step had ended."""
        while self._deferred and self._deferred[0][0] <= step:
            _, blocks = self._deferred.pop(0)
            self.num_deferred_blocks -= len(blocks)
            self._pool.release(reversed(blocks))

    def grow(self, request_id: str, num_tokens: int) -> list[int] | None:
        """Extend a request's block table until it covers ``num_tokens`` tokens.

        Returns:
            Whether the budget could cover it; if not, nothing has changed.
        """
        blocks = self._holdings[request_id].blocks
        fresh = self._pool.take(max(0, self._blocks_for(num_tokens) - len(blocks)))
        if fresh is None:
            return None
        blocks.extend(fresh)
        return fresh

    def commit(self, request: Request) -> None:
        """Make the blocks that are full of computed tokens shareable."""
        if self._cache is None:
            return
        holding = self._holdings[request.request_id]
        size = self.block_size
        while (holding.num_registered + 1) * size <= request.num_computed_tokens:
            start = holding.num_registered * size
            own = self._cache.register(
                holding.blocks[holding.num_registered],
                holding.last_hash,
                request.token_ids[start : start + size],
            )
            assert own is not None, "a full block has an identity"
            holding.last_hash = own
            holding.num_registered += 1

    def free(self, request: Request, *, defer_until: int | None = None) -> None:
        """Release a request's blocks; the last are reused first, so that beginnings live longer."""
        holding = self._holdings.pop(request.request_id)
        if self._cache is not None:
            self._register_tail(request, holding)
        if defer_until is not None:
            self._deferred.append((defer_until, holding.blocks))
            self.num_deferred_blocks += len(holding.blocks)
            return
        self._pool.release(reversed(holding.blocks))

    def reset_prefix_cache(self) -> None:
        """Forget every prefix that no live request holds."""
        self._pool.blank_all()

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless each block is free or held, and counted right."""
        self._pool.check_integrity()
        owners = [0] * self.num_blocks
        for holding in self._holdings.values():
            assert len(set(holding.blocks)) == len(holding.blocks), "a block is held twice"
            assert holding.num_registered <= len(holding.blocks), "more registered than held"
            for block_id in holding.blocks:
                owners[block_id] += 1
        for _, blocks in self._deferred:
            for block_id in blocks:
                owners[block_id] += 1
        for block_id, count in enumerate(owners):
            references = self._pool.references(block_id)
            assert references == count, f"block {block_id}: {references} counted, {count} owners"
        if self._cache is not None:
            self._cache.check_integrity()

    def _match(self, request: Request) -> PrefixMatch:
        if self._cache is None:
            return PrefixMatch([], None, 0, root_hash(request.cache_salt))
        return self._cache.match(request.token_ids, request.cache_salt, request.num_tokens - 1)

    def _register_tail(self, request: Request, holding: _Holding) -> None:
        assert self._cache is not None
        start = holding.num_registered * self.block_size
        tail = request.token_ids[start : request.num_computed_tokens]
        if 0 < len(tail) < self.block_size:
            self._cache.register(holding.blocks[holding.num_registered], holding.last_hash, tail)

    def _holds_prefix(self, block_id: int) -> bool:
        return self._cache is not None and block_id in self._cache

    def _forget(self, block_id: int) -> None:
        if self._cache is not None:
            self._cache.forget(block_id)

    def _blocks_for(self, num_tokens: int) -> int:
        return -(-num_tokens // self.block_size)
