"""Prompts for traces that hold no words: token ids of exact length, the same in every run.

What a trace says to be shared is shared to the token, so a prefix cache sees what it would have
seen; everything else differs from everything else.
"""

from __future__ import annotations

import hashlib
import random

from clients.replay.script import Session, Turn

FIRST_ORDINARY_ID = 16
"""Lower ids are left out: that is where models keep their special tokens."""


def token_ids(name: str, count: int, vocab_size: int) -> list[int]:
    """Return ``count`` ids that are a function of ``name``; a longer list begins like a shorter."""
    seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
    dice = random.Random(seed)
    return [
        FIRST_ORDINARY_ID + int(dice.random() * (vocab_size - FIRST_ORDINARY_ID))
        for _ in range(count)
    ]


def opening_ids(session: Session, vocab_size: int) -> list[int]:
    """Return the persona's prompt."""
    return token_ids(f"persona {session.persona}", session.persona_tokens, vocab_size)


def turn_ids(session: Session, index: int, vocab_size: int) -> list[int]:
    """Return the tokens that a turn adds to its conversation."""
    turn = session.turns[index]
    if turn.hash_ids:
        return _blocks(turn, f"{session.session_id} {index}", vocab_size)
    return token_ids(f"turn {session.session_id} {index}", turn.input_tokens, vocab_size)


def _blocks(turn: Turn, name: str, vocab_size: int) -> list[int]:
    ids: list[int] = []
    for hash_id in turn.hash_ids:
        if len(ids) >= turn.input_tokens:
            break
        ids += token_ids(f"block {hash_id}", turn.hash_block, vocab_size)
    if len(ids) < turn.input_tokens:
        ids += token_ids(f"rest {name}", turn.input_tokens - len(ids), vocab_size)
    return ids[: turn.input_tokens]
