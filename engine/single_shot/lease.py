"""What a pool knows of those who borrow: who waits, and what each one holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from engine.errors import EngineError, ModelError

Model = TypeVar("Model")


class Lease(Generic[Model]):
    """An instance for as long as its holder needs it.

    Attributes:
        number: The pool's name for the instance.
        instance: The model; nobody else has it.
        is_spoilt: Whether it goes away instead of back.
    """

    def __init__(self, number: int, instance: Model) -> None:
        self.number = number
        self.instance = instance
        self.is_spoilt = False

    def discard(self) -> None:
        """Say that the instance is of no use any more; another one is made when it is needed."""
        self.is_spoilt = True


@dataclass(slots=True, eq=False)
class Waiter:
    """Somebody in line.

    Attributes:
        number: The pool's name for it.
        wake: Tells it that its wait has ended, in whatever thread the news comes up.
        instance: What it has got.
        error: Why it gets nothing.
    """

    number: int
    wake: Callable[[], None]
    instance: int | None = None
    error: EngineError | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it waits no more."""
        return self.instance is not None or self.error is not None


def not_made(cause: BaseException) -> ModelError:
    """Return what a waiter hears when the factory has failed."""
    error = ModelError(f"an instance of the model could not be made: {cause}")
    error.__cause__ = cause
    return error
