"""What a client may have missed for good."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gap:
    """What a client may have missed for good.

    Attributes:
        items: Ids of the items that it may not know as they are; ``None`` for any of them.
        unsaid: Ids of items that it cannot know yet: what announces them still waits.
    """

    items: frozenset[str] | None
    unsaid: frozenset[str] = frozenset()

    def touches(self, items: Iterable[str]) -> bool:
        """Whether something that speaks of these items is told anew with them."""
        told_anew = (item for item in items if item not in self.unsaid)
        return any(self.items is None or item in self.items for item in told_anew)

    def joined(self, other: Gap | None) -> Gap:
        """Both in one."""
        if other is None:
            return self
        return Gap(None if self.items is None or other.items is None else self.items | other.items)
