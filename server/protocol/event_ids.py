"""Event ids that rise by one on the wire, so that the last one seen says where to resume."""

from __future__ import annotations

_PREFIX = "evt_"
_MAX_DIGITS = 18


class EventIds:
    """The ids of one session's events: ``evt_<session>_<number>``, from 1."""

    __slots__ = ("_stem",)

    def __init__(self, session_id: str) -> None:
        """Take the session's part of them from its id."""
        self._stem = f"{_PREFIX}{session_id.removeprefix('sess_')}_"

    def name(self, number: int) -> str:
        """The id of the event with this number."""
        return f"{self._stem}{number}"

    def number(self, event_id: str) -> int | None:
        """The number of the event with this id; ``None`` where it is no id of this session."""
        digits = event_id.removeprefix(self._stem)
        is_ours = digits != event_id and digits.isascii() and digits.isdigit()
        return int(digits) if is_ours and len(digits) <= _MAX_DIGITS else None
