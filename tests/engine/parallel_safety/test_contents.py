"""What values hold."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from engine.parallel_safety.contents import tensors_in
from engine.parallel_safety.snapshot import mark


class Slotted:
    """Has no dictionary."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Callable_(SimpleNamespace):
    """Can be called, and has fields all the same."""

    def __call__(self) -> None:
        self.count += 1


def kept() -> tuple[Any, Callable[[], None]]:
    """Return a function, and what changes a variable that only it sees."""
    seen: list[int] = []
    return (lambda: seen), (lambda: seen.append(1))


def changed_array() -> tuple[Any, Callable[[], None]]:
    """Return an array, and what writes to it."""
    array = np.zeros(3)
    return array, partial(array.put, 1, 5.0)


FUNCTION, CHANGE_CELL = kept()
ARRAY, CHANGE_ARRAY = changed_array()
SLOTTED, CALLABLE, QUEUE, BYTES = Slotted(), Callable_(count=0), deque([1], maxlen=1), bytearray(2)
DRAWS, NUMPYS, TORCHS = random.Random(0), np.random.default_rng(0), torch.Generator().manual_seed(0)
LONG = [0] * 9_000


@pytest.mark.parametrize(
    ("value", "change"),
    [
        (SLOTTED, partial(setattr, SLOTTED, "count", 1)),
        (CALLABLE, CALLABLE),
        (QUEUE, partial(QUEUE.append, 2)),
        (BYTES, partial(BYTES.__setitem__, 0, 1)),
        (DRAWS, DRAWS.random),
        (NUMPYS, NUMPYS.random),
        (TORCHS, partial(torch.rand, 1, generator=TORCHS)),
        (ARRAY, CHANGE_ARRAY),
        (FUNCTION, CHANGE_CELL),
        (partial(print, QUEUE), partial(QUEUE.append, 3)),
        (CALLABLE.__call__, CALLABLE),
        (LONG, partial(LONG.__setitem__, 8_000, 1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_change_within_is_seen(value: object, change: Callable[[], object]) -> None:
    """And nothing else is taken for one."""
    held: list[object] = []
    before = mark(value, held)
    assert mark(value, held) == before
    change()
    assert mark(value, held) != before


def test_tensors_are_found_wherever_they_are() -> None:
    """In containers, arrays and objects with their names; numbers and texts too, functions not."""
    output = {
        "a": [torch.zeros(1), (torch.ones(2),)],
        "b": 0.5,
        "c": None,
        "d": SimpleNamespace(logits=torch.zeros(3)),
        "e": np.zeros(4),
        "f": "five!",
        "g": print,
        "h": 2**70,
    }
    assert [tensor.numel() for tensor in tensors_in(output)] == [1, 2, 1, 6, 3, 4, 5, 22]


def test_what_holds_itself_ends() -> None:
    """Some levels deep is enough."""
    value: list[object] = []
    value.append(value)
    assert tensors_in(value) == []
