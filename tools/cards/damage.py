"""Damages sound files, as transport and careless programs do."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tools.cards.samples import Sample


def mutations(samples: list[Sample], seed: int, count: int) -> Iterator[bytes]:
    """Damage sound files: flipped bits, cuts, and pieces that are lost, doubled or moved."""
    rng = random.Random(seed)
    for _ in range(count):
        data = bytearray(rng.choice(samples).data)
        for _ in range(rng.randrange(1, 4)):
            first = rng.randrange(len(data))
            last = min(len(data), first + rng.randrange(1, 40))
            match rng.randrange(5):
                case 0:
                    data[first] ^= 1 << rng.randrange(8)
                case 1:
                    del data[first + 1 :]
                case 2:
                    del data[first:last]
                case 3:
                    data[first:first] = data[first:last]
                case _:
                    data[first:last] = rng.randbytes(last - first)
            if not data:
                break
        yield bytes(data)
