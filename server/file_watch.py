"""Notices that files have been written anew, once they have settled. Pure; what was seen comes in.

A file that has just changed may be half written, so a change counts when two looks in a row see the
same. Links are followed by whoever looks, so that a link that is turned to another file (as
Kubernetes renews a mounted secret) is a change like any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

Fingerprint = tuple[tuple[int, ...] | None, ...]
"""What tells one state of some files from another; ``None`` for a file that is not there."""


class FileWatch:
    """What some files looked like when they were read, and at the last look."""

    def __init__(self, seen: Fingerprint) -> None:
        """Start from files that have just been read."""
        self._read = seen
        self._last = seen

    def look(self, seen: Fingerprint, *, at_once: bool = False) -> bool:
        """Whether the files are to be read now.

        Whatever comes of reading them, they are not to be read again before the next change.

        Args:
            seen: What they look like.
            at_once: Somebody asks for it, changed and settled or not.
        """
        has_settled = seen == self._last
        self._last = seen
        if not at_once and (seen == self._read or not has_settled):
            return False
        self._read = seen
        return True


def fingerprint(files: Iterable[Path]) -> Fingerprint:
    """Look at files; touches the disk."""
    return tuple(map(_one, files))


def _one(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
