"""Prompts for traces that hold no words: token ids of exact length, the same in every run.

What a trace says to be shared is shared to the token, so a prefix cache sees what it would have
seen; everything else differs from everything else.
"""

from __future__ import annotations

import hashlib
import random

from clients.replay.script import Session

FIRST_ORDINARY_ID = 16
"""Lower ids are left out: that is where models keep their special tokens."""


def draw(name: str, count: int, size: int) -> list[int]:
    """Return ``count`` numbers below ``size``, a function of ``name``.

    A longer list begins like a shorter one.
    """
    seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
    dice = random.Random(seed)
    return [int(dice.random() * size) for _ in range(count)]


def draw_opening(session: Session, size: int) -> list[int]:
    """Return the numbers of the persona's prompt, one per token."""
    return draw(f"persona {session.persona}", session.persona_tokens, size)


def draw_turn(session: Session, index: int, size: int) -> list[int]:
    """Return the numbers of what a turn adds to its conversation, one per token.

    Those of a shared block depend on its hash id alone.
    """
    turn = session.turns[index]
    numbers: list[int] = []
    for hash_id in turn.hash_ids:
        if len(numbers) >= turn.input_tokens:
            break
        numbers += draw(f"block {hash_id}", turn.hash_block, size)
    if len(numbers) < turn.input_tokens:
        kind = "rest" if turn.hash_ids else "turn"
        rest = turn.input_tokens - len(numbers)
        numbers += draw(f"{kind} {session.session_id} {index}", rest, size)
    return numbers[: turn.input_tokens]


def opening_ids(session: Session, vocab_size: int) -> list[int]:
    """Return the persona's prompt."""
    return _ids(draw_opening(session, vocab_size - FIRST_ORDINARY_ID))


def turn_ids(session: Session, index: int, vocab_size: int) -> list[int]:
    """Return the tokens that a turn adds to its conversation."""
    return _ids(draw_turn(session, index, vocab_size - FIRST_ORDINARY_ID))


def _ids(numbers: list[int]) -> list[int]:
    return [FIRST_ORDINARY_ID + number for number in numbers]
