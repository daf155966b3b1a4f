"""Several arrays of numbers in one flat buffer, so that one copy brings them to the device."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Ints = NDArray[np.int32]

_ALIGNED = 4
"""Numbers of 32 bits in 16 bytes."""


class Layout:
    """Named parts of a flat buffer of int32, one after the other.

    Each begins at a multiple of 16 bytes: Triton compiles a kernel anew for pointers that do not,
    which would take a second in the middle of somebody's reply.

    Args:
        shapes: Of the parts, in their order.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._shapes = dict(shapes)
        self._places: dict[str, slice] = {}
        self._length = 0
        for name, shape in shapes.items():
            count = int(np.prod(shape))
            self._places[name] = slice(self._length, self._length + count)
            self._length += aligned(count)

    @property
    def length(self) -> int:
        """Numbers in all parts together, and between them."""
        return self._length

    def in_host(self, flat: Ints) -> dict[str, Ints]:
        """Return the parts of a buffer, as views."""
        places = self._places.items()
        return {name: flat[place].reshape(self._shapes[name]) for name, place in places}

    def on_device(self, flat: Tensor) -> dict[str, Tensor]:
        """Return the parts of a buffer, as views."""
        places = self._places.items()
        return {name: flat[place].view(self._shapes[name]) for name, place in places}


def aligned(count: int) -> int:
    """Return how many numbers to set aside so that what follows is aligned."""
    return -(-count // _ALIGNED) * _ALIGNED
