"""What a model is made of, as marks that tell whether anything has changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from engine.parallel_safety.contents import class_attributes, parts_of

_MAX_DEPTH = 8
_MAX_ITEMS = 20_000
"""Of one attribute, all levels together; what lies beyond is known by its number only."""
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_TORCHS_OWN = {"_parameters", "_buffers", "_modules"}

Place = tuple[str, str, str]
"""Path of the module, name in it, and what it is: parameter, buffer, attribute, class attribute."""


def told(place: Place) -> str:
    """Return a place as people write it."""
    module, name, kind = place
    return f"{kind} {name} of {module or 'the model'}"


@dataclass(slots=True)
class Snapshot:
    """Marks by place.

    What was marked by its identity is held, so that nothing new can be taken for it.
    """

    marks: dict[Place, object] = field(default_factory=dict)
    held: list[object] = field(default_factory=list)

    def changed_since(self, earlier: Snapshot) -> set[Place]:
        """Return where something differs, is new or is gone."""
        places = self.marks.keys() | earlier.marks.keys()
        missing = object()
        return {
            place
            for place in places
            if self.marks.get(place, missing) != earlier.marks.get(place, missing)
        }


def take(model: nn.Module) -> Snapshot:
    """Mark every parameter, buffer and plain attribute of every module and of its class.

    Tensors are known by identity and content, other objects by identity and what they hold, some
    levels deep. What a class holds is named by the first module of that class.
    """
    snapshot = Snapshot()
    classes: set[type] = set()
    for path, module in model.named_modules():
        parts: dict[str, dict[str, Any]] = {
            "parameter": module._parameters,
            "buffer": module._buffers,
            "attribute": {k: v for k, v in vars(module).items() if k not in _TORCHS_OWN},
        }
        if type(module) not in classes:
            classes.add(type(module))
            parts["class attribute"] = class_attributes(type(module))
        for kind, values in parts.items():
            for name, value in values.items():
                snapshot.marks[path, name, kind] = mark(value, snapshot.held)
    return snapshot


def mark(value: object, held: list[object]) -> object:
    """Return something that is equal for the same value, and different after any change.

    Args:
        value: Anything.
        held: Takes what must live as long as the mark is used.
    """
    return _Marker(held).mark(value, 0)


class _Marker:
    """Marks one value with all that it holds, as far as the bounds allow."""

    def __init__(self, held: list[object]) -> None:
        self._held = held
        self._left = _MAX_ITEMS

    def mark(self, value: object, depth: int) -> object:
        if isinstance(value, _PLAIN):
            return (type(value).__name__, repr(value))  # nan is nan
        self._held.append(value)
        if isinstance(value, torch.Tensor):
            return self._of_tensor(value)
        if isinstance(value, nn.Module | type) or depth >= _MAX_DEPTH:
            return ("object", id(value))
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            content = _hashed(np.ascontiguousarray(value))
            return ("array", id(value), value.shape, value.dtype.str, content)
        if isinstance(value, set | frozenset):
            return ("set", id(value), frozenset(self.mark(one, _MAX_DEPTH) for one in value))
        items = parts_of(value)
        self._left -= len(items)
        shown = items[: max(0, len(items) + min(0, self._left))]
        inner = tuple([self.mark(item, depth + 1) for item in shown])
        return (type(value).__name__, id(value), len(items), inner)

    def _of_tensor(self, value: torch.Tensor) -> object:
        if is_lazy(value):  # has neither shape nor content before the first forward
            return ("tensor", id(value))
        return ("tensor", id(value), tuple(value.shape), str(value.dtype), _digest(value))


def _digest(tensor: torch.Tensor) -> bytes:
    if tensor.is_meta or tensor.layout is not torch.strided:
        return b""
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return _hashed(flat.numpy())


def _hashed(content: Any) -> bytes:  # a buffer, though its type does not say so
    return hashlib.blake2b(content, digest_size=16).digest()
