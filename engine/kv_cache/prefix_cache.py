"""Which block holds which tokens after which prefix, so that prompts that begin alike share KV.

Full blocks are found by their identity (`engine.kv_cache.hash_chain`) in one look-up each. Where
the chain of full blocks ends, the search goes on token by token among the blocks that follow the
same prefix: the longest common beginning of one of them can be copied, which makes sharing exact to
the token (prefixes shorter than a block are shared too).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_TAIL_CANDIDATES = 16
"""Blocks compared token by token; the newest win, since conversations go on where they ended."""


@dataclass(frozen=True, slots=True)
class PrefixMatch:
    """What the cache holds of a prompt's beginning.

    Attributes:
        block_ids: Full blocks, oldest first.
        tail_block_id: A block whose first ``num_tail_tokens`` tokens continue the prompt.
        num_tail_tokens: How many of its tokens match; less than a block.
    """

    block_ids: list[int]
    tail_block_id: int | None
    num_tail_tokens: int


@dataclass(frozen=True, slots=True)
class _Entry:
    parent_hash: bytes
    token_ids: tuple[int, ...]
    own_hash: bytes | None


class PrefixCache:
    """An index from prefixes to blocks; holds no reference on any of them."""

    def __init__(self, block_size: int) -> None:
        self._block_size = block_size
        self._entries: dict[int, _Entry] = {}
        self._by_hash: dict[bytes, int] = {}
        self._followers: dict[tuple[bytes, int], dict[int, None]] = {}

    def __len__(self) -> int:
        """Blocks with an identity."""
        return len(self._entries)

    def __contains__(self, block_id: int) -> bool:
        """Whether a block has an identity."""
        return block_id in self._entries

    def has(self, own_hash: bytes) -> bool:
        """Whether a full block has this identity."""
        return own_hash in self._by_hash

    def hash_of(self, block_id: int) -> bytes | None:
        """Return the identity of a full block; ``None`` for a partial or unknown one."""
        entry = self._entries.get(block_id)
        return None if entry is None else entry.own_hash

    def match(
        self, token_ids: Sequence[int], root: bytes, hashes: Iterable[bytes], max_tokens: int
    ) -> PrefixMatch:
        """Find the longest cached beginning of at most ``max_tokens`` tokens.

        Args:
            token_ids: What is looked for.
            root: The identity before the first block.
            hashes: Identities of the full blocks, oldest first; read as far as they are cached.
            max_tokens: Not more than there are.
        """
        size = self._block_size
        parent = root
        blocks: list[int] = []
        start = 0
        for own in hashes:
            block_id = self._by_hash.get(own)
            if block_id is None or start + size > max_tokens:
                break
            blocks.append(block_id)
            parent = own
            start += size
        tail, length = self._longest_tail(parent, token_ids[start : min(start + size, max_tokens)])
        return PrefixMatch(blocks, tail, length)

    def register(
        self, block_id: int, parent: bytes, token_ids: Sequence[int], own_hash: bytes | None
    ) -> bool:
        """Give a computed block its identity; a full one becomes a parent to others.

        When another block has the same identity already, that one stays and this block gets none.

        Args:
            block_id: A block without an identity.
            parent: The identity before it.
            token_ids: What it holds, at least one token.
            own_hash: The identity of a full block; ``None`` for a partial one.

        Returns:
            Whether the block has an identity now.
        """
        assert block_id not in self._entries, f"block {block_id} has an identity already"
        if own_hash is not None and own_hash in self._by_hash:
            return False
        self._entries[block_id] = _Entry(parent, tuple(token_ids), own_hash)
        self._followers.setdefault((parent, token_ids[0]), {})[block_id] = None
        if own_hash is not None:
            self._by_hash[own_hash] = block_id
        return True

    def forget(self, block_id: int) -> None:
        """Take a block's identity away, if it has one, because its content is given up."""
        entry = self._entries.pop(block_id, None)
        if entry is None:
            return
        key = (entry.parent_hash, entry.token_ids[0])
        followers = self._followers[key]
        del followers[block_id]
        if not followers:
            del self._followers[key]
        if entry.own_hash is not None:
            del self._by_hash[entry.own_hash]

    def _longest_tail(self, parent: bytes, token_ids: Sequence[int]) -> tuple[int | None, int]:
        if not token_ids:
            return None, 0
        best, best_length = None, 0
        followers = self._followers.get((parent, token_ids[0]), {})
        for seen, block_id in enumerate(reversed(followers)):
            if seen == MAX_TAIL_CANDIDATES or best_length == len(token_ids):
                break
            length = 0
            for ours, theirs in zip(token_ids, self._entries[block_id].token_ids, strict=False):
                if ours != theirs:
                    break
                length += 1
            if length > best_length:
                best, best_length = block_id, length
        return best, best_length

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless the three indexes tell the same story."""
        full = {e.own_hash: b for b, e in self._entries.items() if e.own_hash is not None}
        assert full == self._by_hash, "the hash index differs from the entries"
        listed = [(key, b) for key, blocks in self._followers.items() for b in blocks]
        assert len(listed) == len(self._entries), "the follower index differs from the entries"
        for key, block_id in listed:
            entry = self._entries[block_id]
            assert key == (entry.parent_hash, entry.token_ids[0]), f"block {block_id} is misfiled"
            assert 1 <= len(entry.token_ids) <= self._block_size, f"block {block_id} is overfull"
