"""Whether a beginning that streams have in common is read once for all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

from tools.gpu.results import NotHere

Reading = Literal["apart", "together", "chosen"]
READINGS: tuple[Reading, ...] = ("apart", "together", "chosen")


@contextlib.contextmanager
def personas_read(runner: Any, reading: Reading) -> Iterator[None]:
    """Have a runner read what streams have in common apart, together, or as it chooses itself.

    Raises:
        NotHere: Nothing is read together here, or nothing chooses.
    """
    planner = getattr(runner, "planner", None)
    if planner is None:
        raise NotHere("what computes here does not read shared beginnings together")
    before = planner.shares, planner.costs
    if reading == "chosen" and planner.costs is None:
        raise NotHere("the engine reads together whenever it can; nothing is chosen")
    planner.shares = reading != "apart"
    if reading != "chosen":
        planner.costs = None
    try:
        yield
    finally:
        planner.shares, planner.costs = before
