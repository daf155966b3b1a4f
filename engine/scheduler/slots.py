"""Slots: the places in the runner's tables that sequences take turns in.

A slot's *epoch* is the step with which its present holder came in. What an earlier step computed in
it belongs to somebody else, who has been cancelled or preempted since, and is dropped.
"""

from __future__ import annotations

from engine.request import Request


class SlotTable:
    """Who holds which slot, and since which step."""

    def __init__(self, num_slots: int) -> None:
        self._holders: list[Request | None] = [None] * num_slots
        self._epochs = [0] * num_slots
        self._free = list(reversed(range(num_slots)))

    def __len__(self) -> int:
        """Slots that are held."""
        return len(self._holders) - len(self._free)

    @property
    def num_free(self) -> int:
        """Slots that nobody holds."""
        return len(self._free)

    def take(self, request: Request, step: int) -> None:
        """Give a request a slot, from this step on."""
        request.slot = slot = self._free.pop()
        self._holders[slot] = request
        self._epochs[slot] = step

    def release(self, request: Request) -> None:
        """Take the request's slot away."""
        self._holders[request.slot] = None
        self._free.append(request.slot)
        request.slot = -1

    def holder(self, slot: int, step: int) -> Request | None:
        """Whose result a step has computed in a slot; ``None`` when it came too late."""
        return self._holders[slot] if self._epochs[slot] <= step else None

    def holders(self) -> list[Request]:
        """Everybody who holds a slot; costs what there are slots."""
        return [request for request in self._holders if request is not None]
