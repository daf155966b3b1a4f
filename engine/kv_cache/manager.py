"""The KV ledger: which request holds which blocks, what is shared, what is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import dropwhile, islice

from engine.kv_cache.block_pool import BlockPool
from engine.kv_cache.deferred import DeferredReleases
from engine.kv_cache.hash_chain import full_block_hashes, parent_hash, root_hash
from engine.kv_cache.host_tier import HostTier
from engine.kv_cache.prefix_cache import PrefixCache, PrefixMatch
from engine.kv_cache.retention import Retention, RetentionRules
from engine.request import Request

_NOTHING = PrefixMatch([], None, 0)


@dataclass(slots=True)
class _Holding:
    """What one request holds: its block table, and how much of it has an identity."""

    blocks: list[int] = field(default_factory=list)
    num_registered: int = 0


@dataclass(frozen=True, slots=True)
class Admission:
    """What a request starts with.

    Attributes:
        num_cached_tokens: Tokens whose KV is there already.
        block_copy: ``(source, destination)`` of the partly shared block, if there is one.
        restores: ``(host slot, block)`` of what comes back from host memory.
    """

    num_cached_tokens: int
    block_copy: tuple[int, int] | None
    restores: list[tuple[int, int]] = field(default_factory=list)


class KVCacheManager:
    """Hands out blocks within a fixed budget.

    A request holds blocks from ``admit`` to ``free``. Blocks that fill up become shareable in
    ``commit``; on ``free`` the last, partial one does too, and what was shareable stays in the
    cache, in its class (`Retention`), until its block is needed.

    Args:
        num_blocks: The budget.
        block_size: Tokens per block.
        enable_prefix_caching: Without it nothing is shared and nothing is kept.
        pinned_share: Share of the budget that characters' prompts may be pinned in.
        num_host_slots: Blocks of host memory for what is warm or pinned and loses its place.
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
        self._rules = RetentionRules(
            holds_prefix=self._holds_prefix, max_pinned=int(num_blocks * pinned_share)
        )
        self._pool = BlockPool(num_blocks, class_of=self._rules.class_of, on_reuse=self._reuse)
        self._host = HostTier(num_host_slots)
        self._holdings: dict[str, _Holding] = {}
        self._deferred = DeferredReleases()

    @property
    def num_used_blocks(self) -> int:
        """Blocks held by live requests, or held back until a step has ended."""
        return self.num_blocks - self._pool.num_free

    @property
    def num_free_blocks(self) -> int:
        """Blocks nobody holds, with or without a reusable prefix."""
        return self._pool.num_free

    @property
    def num_cached_blocks(self) -> int:
        """Free blocks that still hold a reusable prefix, of whatever class."""
        return self._pool.num_cached

    @property
    def num_warm_blocks(self) -> int:
        """Free blocks kept for a conversation's next turn."""
        return self._pool.num_free_of(Retention.WARM)

    @property
    def num_pinned_blocks(self) -> int:
        """Free blocks kept for a character's prompt."""
        return self._pool.num_free_of(Retention.PINNED)

    @property
    def num_deferred_blocks(self) -> int:
        """References of those who have left that a step in flight holds back."""
        return self._deferred.num_blocks

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

    def num_blocks_to_take(self, request: Request) -> int:
        """Return how many free blocks ``admit`` would take: all but those that somebody holds."""
        held = sum(
            1 for block_id in self._match(request).block_ids if self._pool.references(block_id)
        )
        return self._blocks_for(request.num_tokens) - held

    def missing_hashes(self, request: Request) -> list[bytes]:
        """Return a request's full blocks from the first that is not cached on, by identity."""
        return list(self._missing(request))

    def next_missing_hash(self, request: Request) -> bytes | None:
        """Return the identity of the first full block that is not cached; ``None`` without one."""
        return next(self._missing(request), None)

    def admit(self, request: Request) -> Admission | None:
        """Give a request blocks for all its present tokens, sharing what the cache has.

        The last token is always left to compute, since its logits are needed. Either everything
        is taken or nothing changes but which free blocks count as lately used.

        Returns:
            What is cached; ``None`` when the budget cannot cover the rest now.
        """
        assert request.request_id not in self._holdings, f"{request.request_id} is admitted already"
        match = self._match(request)
        slots = self._host.fetch(self._after(request, match))
        self._pool.share(match.block_ids)
        # The tail's source is not held: a step copies before it computes, and reads every source
        # before it writes, so even a source that is handed out again right here is read in time.
        fresh = self._pool.take(self._blocks_for(request.num_tokens) - len(match.block_ids))
        if fresh is None:
            self._pool.release(reversed(match.block_ids))
            return None
        num_full = len(match.block_ids)
        self._holdings[request.request_id] = _Holding([*match.block_ids, *fresh], num_full)
        for block_id in match.block_ids[: self._num_to_pin(request)]:
            self._pin(block_id)
        if slots:  # what comes back is shareable once this step has ended: see ``commit``
            restores = list(zip(slots, fresh, strict=False))
            return Admission((num_full + len(slots)) * self.block_size, None, restores)
        if match.tail_block_id is None:
            return Admission(num_full * self.block_size, None)
        return Admission(
            num_full * self.block_size + match.num_tail_tokens, (match.tail_block_id, fresh[0])
        )

    def grow(self, request_id: str, num_tokens: int) -> list[int] | None:
        """Extend a request's block table until it covers ``num_tokens`` tokens.

        Returns:
            The added blocks; ``None``, with nothing changed, when the budget could not cover it.
        """
        blocks = self._holdings[request_id].blocks
        fresh = self._pool.take(max(0, self._blocks_for(num_tokens) - len(blocks)))
        if fresh is None:
            return None
        blocks.extend(fresh)
        return fresh

    def commit(self, request: Request) -> None:
        """Make the blocks that are full of computed tokens shareable; adds to the hash chain."""
        if self._cache is None:
            return
        holding = self._holdings[request.request_id]
        size = self.block_size
        num_full = request.num_computed_tokens // size
        if holding.num_registered >= num_full:
            return
        hashes = full_block_hashes(request, size, holding.num_registered)
        num_to_pin = self._num_to_pin(request)
        for index, own in zip(range(holding.num_registered, num_full), hashes, strict=False):
            block_id = holding.blocks[index]
            tokens = request.token_ids[index * size : (index + 1) * size]
            is_new = self._cache.register(block_id, parent_hash(request, index), tokens, own)
            if is_new and index < num_to_pin:
                self._pin(block_id)
        holding.num_registered = num_full

    def free(self, request: Request, *, defer_until: int | None = None) -> None:
        """Release a request's blocks; the last are reused first, so that beginnings live longer.

        Args:
            request: It holds blocks.
            defer_until: The step after which nothing writes to them any longer; until ``end_step``
                says that it has ended they may be shared, and are not handed out.
        """
        holding = self._holdings.pop(request.request_id)
        last_first = holding.blocks[::-1]
        if self._cache is not None:
            self._register_tail(request, holding)
            if request.service.conversation_id:
                kept = filter(self._holds_prefix, last_first)
                self._rules.name(kept, request.service.conversation_id)
        if defer_until is None:
            self._pool.release(last_first)
        else:
            self._deferred.add(defer_until, last_first)

    def end_step(self, step: int) -> None:
        """Give back the blocks that were held back until this step had ended."""
        for block_ids in self._deferred.take_due(step):
            self._pool.release(block_ids)

    def take_offloads(self) -> list[tuple[int, int]]:
        """Return ``(block, host slot)`` to be copied out before anything else of this plan."""
        return self._host.take_offloads()

    def release_conversation(self, conversation_id: str) -> None:
        """Keep a conversation's blocks no longer than any other; an unknown one is passed over."""
        self._pool.refile(self._rules.release_conversation(conversation_id))

    def reset_prefix_cache(self) -> None:
        """Forget every prefix that no live request holds."""
        self._pool.blank_all()
        self._host.forget_all()
        held = {block_id for holding in self._holdings.values() for block_id in holding.blocks}
        for block_id in set(self._deferred.block_ids()) - held:
            self._forget(block_id)

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless each block is free or held, and counted right."""
        self._pool.check_integrity()
        self._rules.check_integrity()
        self._deferred.check_integrity()
        self._host.check_integrity()
        owners = [0] * self.num_blocks
        for holding in self._holdings.values():
            assert len(set(holding.blocks)) == len(holding.blocks), "a block is held twice"
            assert holding.num_registered <= len(holding.blocks), "more registered than held"
            for block_id in holding.blocks:
                owners[block_id] += 1
        for block_id in self._deferred.block_ids():
            owners[block_id] += 1
        for block_id, count in enumerate(owners):
            references = self._pool.references(block_id)
            assert references == count, f"block {block_id}: {references} counted, {count} owners"
        if self._cache is not None:
            self._cache.check_integrity()

    def _match(self, request: Request) -> PrefixMatch:
        if self._cache is None:
            return _NOTHING
        return self._cache.match(
            request.token_ids,
            root_hash(request.cache_salt),
            full_block_hashes(request, self.block_size),
            request.num_tokens - 1,
        )

    def _after(self, request: Request, match: PrefixMatch) -> Iterator[bytes]:
        """Identities of the full blocks behind a match, as far as they may be cached."""
        if not self._host.num_slots or self._cache is None:
            return iter(())
        most = (request.num_tokens - 1) // self.block_size
        hashes = full_block_hashes(request, self.block_size)
        return islice(hashes, len(match.block_ids), most)

    def _missing(self, request: Request) -> Iterator[bytes]:
        if self._cache is None:
            return
        yield from dropwhile(self._is_somewhere, full_block_hashes(request, self.block_size))

    def _is_somewhere(self, block_hash: bytes) -> bool:
        assert self._cache is not None
        return self._cache.has(block_hash) or block_hash in self._host

    def _num_to_pin(self, request: Request) -> int:
        """Full blocks that lie wholly in the character's prompt."""
        if self._cache is None:
            return 0
        return request.service.num_pinned_tokens // self.block_size

    def _pin(self, block_id: int) -> None:
        """Pin a held block, instead of the least recently used free one when all pins are taken."""
        if self._rules.pin(block_id):
            return
        oldest = self._pool.oldest_of(Retention.PINNED)
        if oldest is not None:
            self._rules.demote(oldest)
            self._pool.refile([oldest])
            self._rules.pin(block_id)

    def _register_tail(self, request: Request, holding: _Holding) -> None:
        assert self._cache is not None
        index = holding.num_registered
        tail = request.token_ids[index * self.block_size : request.num_computed_tokens]
        if 0 < len(tail) < self.block_size:
            parent = parent_hash(request, index)
            self._cache.register(holding.blocks[index], parent, tail, None)

    def _holds_prefix(self, block_id: int) -> bool:
        return self._cache is not None and block_id in self._cache

    def _reuse(self, block_id: int) -> None:
        """Give a block's content up on the device; what is worth keeping goes to the host."""
        if self._host.num_slots and self._cache is not None:
            own = self._cache.hash_of(block_id)
            if own is not None and self._rules.class_of(block_id) > Retention.CACHED:
                self._host.keep(block_id, own)
        self._forget(block_id)

    def _forget(self, block_id: int) -> None:
        if self._cache is not None:
            self._cache.forget(block_id)
        self._rules.demote(block_id)

    def _blocks_for(self, num_tokens: int) -> int:
        return -(-num_tokens // self.block_size)
