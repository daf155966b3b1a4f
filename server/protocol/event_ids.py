"""Event ids that rise by one on the wire, so that the last one seen says where to resume."""

from __future__ import annotations

_PREFIX = "evt_"


class EventCounter:
    """Gives the events of one session their ids: ``evt_<session>_<number>``, from 1.

    Held by the session for its whole life, over every connection; used by whoever writes events.
    """

    __slots__ = ("_last", "_stem")

    def __init__(self, session_id: str) -> None:
        self._stem = f"{_PREFIX}{session_id.removeprefix('sess_')}_"
        self._last = 0

    def next_id(self) -> str:
        """Count one event and name it."""
        self._last += 1
        return f"{self._stem}{self._last}"
