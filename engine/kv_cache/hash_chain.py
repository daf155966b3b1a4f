"""The identities of a request's full blocks, each computed once in the request's life.

A block's identity is a chained hash: its own tokens after the identity of the block before it, with
a salt at the root. Tokens are only ever appended to a request, so what has been hashed stays true
and is kept in ``request.hash_chain``; everything else in the ledger is then a dictionary look-up.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Sequence

from engine.request import Request


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


def parent_hash(request: Request, index: int) -> bytes:
    """Return the identity before a block whose predecessors have been hashed.

    Args:
        request: Whose blocks.
        index: The block's place in the block table.
    """
    return request.hash_chain[index - 1] if index else root_hash(request.cache_salt)


def full_block_hashes(request: Request, block_size: int, first: int = 0) -> Iterator[bytes]:
    """Yield the identities of a request's full blocks, oldest first.

    What has not been asked for before is hashed when its turn comes, and added to
    ``request.hash_chain``.

    Args:
        request: Whose blocks.
        block_size: Tokens per block, the same for every call about this request.
        first: Begin with this block; all before it have been hashed.
    """
    chain = request.hash_chain
    assert first <= len(chain), "blocks before the first have not been hashed"
    for index in range(first, request.num_tokens // block_size):
        if index == len(chain):
            tokens = request.token_ids[index * block_size : (index + 1) * block_size]
            chain.append(chain_hash(parent_hash(request, index), tokens))
        yield chain[index]
