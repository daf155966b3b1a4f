"""Which block holds which tokens after which prefix, so that prompts that begin alike share KV.

A block's identity is a chained hash: its own tokens after the identity of the block before it,
with a salt at the root. Full blocks are found by that hash in one look-up each. Where the chain of
full blocks ends, the search goes on token by token among the blocks that follow the same prefix:
the longest common beginning of one of them can be copied, which makes sharing exact to the token
(prefixes shorter than a block are shared too).
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
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
        last_hash: Identity of the last full block, the parent of what follows.
    """

    block_ids: list[int]
    tail_block_id: int | None
    num_tail_tokens: int
    last_hash: bytes


@dataclass(frozen=True, slots=True)
class _Entry:
    parent_hash: bytes
    token_ids: tuple[int, ...]
    own_hash: bytes | None


def root_hash(salt: str) -> bytes:
    """Return the identity before the first block; differs by salt."""
    return hashlib.blake2b(salt.encode(), digest_size=16, person=b"kaiwa-kv-root").digest()


def chain_hash(parent_hash: bytes, token_ids: Sequence[int]) -> bytes:
    """Return the identity of a block with these tokens after a block with that identity.

    128 bits of BLAKE2b: a chosen prompt cannot be made to collide with somebody else's.
    """
    return hashlib.blake2b(
        array("q", token_ids).tobytes(), digest_size=16, key=parent_hash
    ).digest()


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

    def match(self, token_ids: Sequence[int], salt: str, max_tokens: int) -> PrefixMatch:
        """Find the longest cached beginning of at most ``max_tokens`` tokens."""
        size = self._block_size
        parent = root_hash(salt)
        blocks: list[int] = []
        start = 0
        while start + size <= max_tokens:
            own = chain_hash(parent, token_ids[start : start + size])
            block_id = self._by_hash.get(own)
            if block_id is None:
                break
            blocks.append(block_id)
            parent = own
            start += size
        tail, length = self._longest_tail(parent, token_ids[start : min(start + size, max_tokens)])
        return PrefixMatch(blocks, tail, length, parent)

    def register(self, block_id: int, parent_hash: bytes, token_ids: Sequence[int]) -> bytes | None:
        """Give a computed block its identity; a full one becomes a parent to others.

        When another block has the same identity already, that one stays and this block gets none.

        Returns:
            The identity of a full block, whichever block holds it; ``None`` for a partial one.
        """
        assert block_id not in self._entries, f"block {block_id} has an identity already"
        own = chain_hash(parent_hash, token_ids) if len(token_ids) == self._block_size else None
        if own is not None and own in self._by_hash:
            return own
        self._entries[block_id] = _Entry(parent_hash, tuple(token_ids), own)
        self._followers.setdefault((parent_hash, token_ids[0]), {})[block_id] = None
        if own is not None:
            self._by_hash[own] = block_id
        return own

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
