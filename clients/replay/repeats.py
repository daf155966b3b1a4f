"""A workload that is too short, played again until it is long enough, never in the same words.

A server that was asked the same before answers from its prefix cache, so a copy that shared its
words with the first would measure the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clients.replay.script import Session


def repeated(sessions: Sequence[Session], count: int, *, first_copy: int = 0) -> list[Session]:
    """Return ``count`` sessions: the given ones, in order, and copies of them.

    Copy 0 is the sessions themselves. In all others names are new, from which words follow, and
    so are the ids of shared blocks: copies share among themselves what the originals share.
    Personas stay the same, as they do for people who come later. Words that the trace gives stay
    as they are.

    Args:
        sessions: At least one; their start times are kept.
        count: How many are wanted.
        first_copy: Which copy to begin with.
    """
    size = len(sessions)
    blocks = 1 + max(
        (block for one in sessions for turn in one.turns for block in turn.hash_ids), default=0
    )
    return [
        _copy(sessions[number % size], first_copy + number // size, blocks)
        for number in range(count)
    ]


def copies(sessions: Sequence[Session], count: int) -> int:
    """Return how many copies, the last one perhaps in part, make ``count`` sessions."""
    return -(-count // len(sessions))


def _copy(session: Session, number: int, blocks: int) -> Session:
    if not number:
        return session
    return replace(
        session,
        session_id=f"{session.session_id}~{number}",
        turns=[
            replace(turn, hash_ids=tuple(block + number * blocks for block in turn.hash_ids))
            if turn.hash_ids
            else turn
            for turn in session.turns
        ],
    )
