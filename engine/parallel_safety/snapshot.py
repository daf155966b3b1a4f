"""What a model is made of, as marks that tell whether anything has changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

_MAX_DEPTH = 4
_MAX_ITEMS = 256
"""Of one container; what lies beyond is known by its number only."""
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_TORCHS_OWN = {"_parameters", "_buffers", "_modules"}

Place = tuple[str, str, str]
"""Path of the module, name in it, and what it is: parameter, buffer or attribute."""


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
    """Mark every parameter, buffer and plain attribute of every module.

    Tensors are known by identity and content, other objects by identity and what they hold, four
    levels deep.
    """
    snapshot = Snapshot()
    for path, module in model.named_modules():
        parts = {
            "parameter": module._parameters,
            "buffer": module._buffers,
            "attribute": {k: v for k, v in vars(module).items() if k not in _TORCHS_OWN},
        }
        for kind, values in parts.items():
            for name, value in values.items():
                snapshot.marks[path, name, kind] = mark(value, snapshot.held)
    return snapshot


def mark(value: object, held: list[object], depth: int = 0) -> object:
    """Return something that is equal for the same value, and different after any change.

    Args:
        value: Anything.
        held: Takes what must live as long as the mark is used.
        depth: How deep within another value it lies.
    """
    if isinstance(value, _PLAIN):
        return (type(value).__name__, repr(value))  # nan is nan
    held.append(value)
    if isinstance(value, torch.Tensor):
        return ("tensor", id(value), tuple(value.shape), str(value.dtype), _digest(value))
    if isinstance(value, nn.Module | type) or depth >= _MAX_DEPTH:
        return ("object", id(value))
    items: list[Any] = []
    if isinstance(value, dict):
        items = [part for pair in value.items() for part in pair]
    elif isinstance(value, list | tuple):
        items = list(value)
    elif isinstance(value, set | frozenset):
        return ("set", id(value), frozenset(mark(one, held, _MAX_DEPTH) for one in value))
    elif hasattr(value, "__dict__") and not callable(value):
        items = [part for pair in vars(value).items() for part in pair]
    inner = tuple(mark(item, held, depth + 1) for item in items[:_MAX_ITEMS])
    return (type(value).__name__, id(value), len(items), inner)


def _digest(tensor: torch.Tensor) -> bytes:
    if tensor.is_meta or tensor.layout is not torch.strided:
        return b""
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    content: Any = flat.numpy()  # a buffer, though its type does not say so
    return hashlib.blake2b(content, digest_size=16).digest()
