"""How often the same warning is written: a few times, then as a number."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

BURST = 5
"""Lines of one kind that are written in a window."""

WINDOW_S = 60.0
"""Seconds after which the same may be told again."""

MAX_KINDS = 256
"""Kinds that are remembered; the longest unheard of is forgotten first."""


@dataclass(slots=True)
class _Kind:
    since: float
    num_written: int = 0
    num_held: int = 0


class RepeatLimit:
    """Counts lines by kind, and says which may be written."""

    def __init__(self, *, burst: int = BURST, window_s: float = WINDOW_S) -> None:
        """Start with none seen.

        Args:
            burst: Lines of one kind that are written in a window.
            window_s: Seconds.
        """
        self._burst = burst
        self._window_s = window_s
        self._kinds: OrderedDict[object, _Kind] = OrderedDict()

    def __len__(self) -> int:
        """Kinds that are remembered, at most ``MAX_KINDS``."""
        return len(self._kinds)

    def judge(self, kind: object, now: float) -> int | None:
        """Judge one line.

        Args:
            kind: What makes lines the same; hashable.
            now: Seconds; must not run backwards.

        Returns:
            How many of its kind were held back before it, or ``None`` when it is held back too.
        """
        seen = self._kinds.get(kind)
        if seen is None or now - seen.since >= self._window_s:
            num_held = 0 if seen is None else seen.num_held
            seen = self._kinds[kind] = _Kind(now)
        else:
            num_held = 0
        self._kinds.move_to_end(kind)
        if len(self._kinds) > MAX_KINDS:
            self._kinds.popitem(last=False)
        if seen.num_written >= self._burst:
            seen.num_held += 1
            return None
        seen.num_written += 1
        return num_held

    def overdue(self, now: float) -> list[tuple[object, int]]:
        """Take out kinds that were held back and have not come again since their window ended.

        Returns:
            Each kind with the number of lines that nobody was told of.
        """
        done = [
            (kind, seen.num_held)
            for kind, seen in self._kinds.items()
            if seen.num_held and now - seen.since >= self._window_s
        ]
        for kind, _ in done:
            del self._kinds[kind]
        return done
