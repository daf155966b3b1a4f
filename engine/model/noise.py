"""Random numbers that are a function of where they are used, not of what was drawn before.

A generator with a state gives a sequence other words as soon as its batch-mates, a preemption or a
restart change who draws when. Here the n-th token of a seed always meets the same number.
"""

from __future__ import annotations

import hashlib

DRAW = 0
"""Stream for choosing the token."""
XTC_COIN = 1
"""Stream for whether XTC acts on this token."""

_NUM_STREAMS = 2
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def uniform(seed: int, position: int, stream: int) -> float:
    """Return a number in [0, 1), evenly spread over seeds, positions and streams.

    SplitMix64 (Steele, Lea, Flood 2014): element ``position`` of the sequence that starts at the
    scrambled seed. The top 53 bits make the float.

    Args:
        seed: Any 64-bit integer, signed or not.
        position: Output tokens so far.
        stream: ``DRAW`` or ``XTC_COIN``.
    """
    start = _scramble(((seed & _MASK) + _GOLDEN) & _MASK)
    step = position * _NUM_STREAMS + stream + 1
    return (_scramble((start + step * _GOLDEN) & _MASK) >> 11) * 2.0**-53


def seed_of_name(name: str) -> int:
    """Return the seed of a request that has none: a hash of its id."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def _scramble(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)
