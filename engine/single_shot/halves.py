"""Running a batch so that an item that cannot be computed spoils nobody else's result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Done(Generic[Result]):
    """An item's result."""

    result: Result


@dataclass(frozen=True, slots=True)
class Failed:
    """What was raised when an item was computed alone, or for the whole batch."""

    error: BaseException


Outcome = Done[Result] | Failed


def run_by_halves(
    run_batch: Callable[[Sequence[Item]], Sequence[Result]],
    items: Sequence[Item],
    is_wanted: Callable[[int], bool] = lambda place: True,
) -> list[Outcome[Result] | None]:
    """Compute a batch; when that raises, its halves, and theirs, until the guilty are alone.

    One guilty item among ``n`` costs about ``2 log2(n)`` calls more, a function that never works
    ``2 n - 1`` calls in all. What is no `Exception` (the process is to end, say) ends the batch.

    Args:
        run_batch: Returns one result per item, in order; must leave nothing behind when it raises.
        items: The batch.
        is_wanted: Whether the item at a place is still waited for, asked before each call.

    Returns:
        One outcome per item, in order; ``None`` for an item that was no longer wanted.
    """
    outcomes: list[Outcome[Result] | None] = [None] * len(items)
    parts = [list(range(len(items)))]
    while parts:
        places = [place for place in parts.pop() if is_wanted(place)]
        if not places:
            continue
        try:
            results = run_batch([items[place] for place in places])
            _check_count(results, places)
        except BaseException as error:
            if len(places) > 1 and isinstance(error, Exception):
                half = len(places) // 2
                parts += [places[half:], places[:half]]
            else:
                outcomes = _all_of(outcomes, places, error)
                if not isinstance(error, Exception):  # those not tried yet are not tried
                    return _all_of(outcomes, [place for part in parts for place in part], error)
        else:
            for place, result in zip(places, results, strict=True):
                outcomes[place] = Done(result)
    return outcomes


def _check_count(results: Sequence[Result], places: Sequence[int]) -> None:
    if len(results) != len(places):
        raise ValueError(
            f"the batch function returned {len(results)} results for {len(places)} items; "
            "it must return one per item, in order"
        )


def _all_of(
    outcomes: Sequence[Outcome[Result] | None], places: Sequence[int], error: BaseException
) -> list[Outcome[Result] | None]:
    return [Failed(error) if n in set(places) else one for n, one in enumerate(outcomes)]
