"""What a forward changes in its model, by watching what is assigned and by looking afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import nn

from engine.parallel_safety.findings import POOL_OR_LOCK, Finding, shortened
from engine.parallel_safety.snapshot import Place, mark, take, told

_NONE_YET = object()


def check_changes(
    model: nn.Module, call: Callable[[Any], object], inputs: Sequence[Any]
) -> list[Finding]:
    """Compute several inputs and name what the forwards have changed.

    What only the first forward changes is told apart: a table filled once is safe afterwards.

    Args:
        model: Which.
        call: Computes an input with it.
        inputs: Two or more that differ.
    """
    before = take(model)
    with _assignments(model) as assigned_first:
        call(inputs[0])
    after_first = take(model)
    with _assignments(model) as assigned_later:
        for one in [*inputs[1:], inputs[0]]:
            call(one)
    after = take(model)
    always = after.changed_since(after_first) | assigned_later
    once = (after_first.changed_since(before) | assigned_first) - always
    if not always | once:
        detail = f"{len(inputs) + 1} forwards changed none of {len(before.marks)} parameters, "
        return [Finding("pass", "state", f"{detail}buffers and attributes")]
    found = [
        Finding("fail", "state", f"every forward changes {told(place)}", POOL_OR_LOCK)
        for place in sorted(always)
    ]
    first = [
        Finding(
            "warn",
            "state",
            f"the first forward changes {told(place)}",
            "run one forward before threads begin",
        )
        for place in sorted(once)
    ]
    return [*shortened(found), *shortened(first)]


@contextlib.contextmanager
def _assignments(model: nn.Module) -> Iterator[set[Place]]:
    """Collect where attributes of modules are set to something else, or deleted.

    A snapshot would miss what is put back before the forward ends. Patches torch's own class, so
    no other thread may build or run models meanwhile.
    """
    paths = {id(module): path for path, module in model.named_modules()}
    changed: set[Place] = set()
    held: list[object] = []
    set_attribute, delete_attribute = nn.Module.__setattr__, nn.Module.__delattr__

    def place_of(module: nn.Module, name: str) -> Place:
        kinds: dict[str, dict[str, Any]]
        kinds = {"parameter": module._parameters, "buffer": module._buffers}
        kind = next((kind for kind, names in kinds.items() if name in names), "attribute")
        return paths[id(module)], name, kind

    def setting(module: nn.Module, name: str, value: Any) -> None:
        if id(module) in paths:
            old = getattr(module, name, _NONE_YET)
            if mark(old, held) != mark(value, held):
                changed.add(place_of(module, name))
        set_attribute(module, name, value)

    def deleting(module: nn.Module, name: str) -> None:
        if id(module) in paths:
            changed.add(place_of(module, name))
        delete_attribute(module, name)

    nn.Module.__setattr__ = setting  # type: ignore[assignment]
    nn.Module.__delattr__ = deleting  # type: ignore[method-assign]
    try:
        yield changed
    finally:
        nn.Module.__setattr__ = set_attribute  # type: ignore[method-assign]
        nn.Module.__delattr__ = delete_attribute  # type: ignore[method-assign]
