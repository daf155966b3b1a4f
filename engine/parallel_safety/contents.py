"""What a value holds: what a forward could change in it, and what of it can be compared."""

from __future__ import annotations

import functools
import random
from collections import deque
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import nn

_MAX_DEPTH = 8


def tensors_in(value: object, depth: int = 0) -> list[torch.Tensor]:
    """Return copies of the tensors within a value, in order; numbers and texts count as tensors.

    Args:
        value: An input, or whatever a forward returns: containers and objects are looked into.
        depth: How deep within another value it lies.
    """
    if isinstance(value, torch.Tensor):
        return [value.detach().clone()]
    if isinstance(value, bool | float | complex) or (isinstance(value, int) and abs(value) < 2**63):
        return [torch.tensor(value)]
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufc":
        return [torch.from_numpy(np.array(value))]
    if isinstance(value, int | str | bytes | np.ndarray | np.generic):
        text = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
        return [torch.tensor(list(text), dtype=torch.uint8)]
    if depth >= _MAX_DEPTH or isinstance(value, nn.Module | type | FunctionType | MethodType):
        return []
    parts = list(value.values()) if isinstance(value, Mapping) else parts_of(value)
    return [tensor for part in parts for tensor in tensors_in(part, depth + 1)]


def parts_of(value: object) -> list[Any]:
    """Return what a value holds, in an order that stays; nothing of what cannot be looked into."""
    if isinstance(value, dict):
        return [part for pair in value.items() for part in pair]
    if isinstance(value, list | tuple | deque):
        return list(value)
    if isinstance(value, bytearray):
        return [bytes(value)]
    if isinstance(value, torch.Generator):
        return [value.get_state().numpy().tobytes()]
    if isinstance(value, random.Random):
        return [repr(value.getstate())]
    if isinstance(value, np.random.Generator):
        return [repr(value.bit_generator.state)]
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, FunctionType):
        return [*_defaults(value), *_cells(value)]
    return _fields(value)


def class_attributes(kind: type[nn.Module]) -> dict[str, object]:
    """Return what a module's class and those above it hold, torch's own left out.

    Of functions there are the defaults that can change: ``def forward(self, x, seen=[])`` keeps one
    list for all calls.
    """
    found: dict[str, object] = {}
    for one in reversed(kind.__mro__):
        if one is object or one.__module__.partition(".")[0] == "torch":
            continue
        for name, value in vars(one).items():
            if isinstance(value, FunctionType):
                if defaults := [d for d in _defaults(value) if isinstance(d, list | dict | set)]:
                    found[name] = tuple(defaults)
            elif not (name.startswith("__") or hasattr(type(value), "__get__")):
                found[name] = value
    return found


def _defaults(function: FunctionType) -> list[Any]:
    return [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]


def _cells(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # a name that has no value yet
            yield None


def _fields(value: object) -> list[Any]:
    parts = [part for pair in getattr(value, "__dict__", {}).items() for part in pair]
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        names = [slots] if isinstance(slots, str) else list(slots)
        parts += [getattr(value, name, None) for name in names if not name.startswith("__")]
    return parts
