"""Settings of wire logs: what is kept of sessions so that they can be replayed as load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from server.config.checks import within

Consent = Literal["ask", "operator"]
TextMode = Literal["none", "redacted", "full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordConfig:
    """Who is recorded, and how much of what they say."""

    dir: Path | None = None
    """Folder of the logs, one file per session; nothing is recorded where it is left out."""
    consent: Consent = "ask"
    """``ask`` records sessions that were opened with ``?record=yes``, and leaves nothing of any
    other. ``operator`` is your word that all users have agreed; ``?record=no`` still counts."""
    text: TextMode = "none"
    """Of what users say: only its length, its letters replaced by others, or every word."""
    max_file_bytes: int = 16 * 1024 * 1024
    """Of one session; there its recording ends, and the session goes on."""
    max_total_bytes: int = 1024 * 1024 * 1024
    """Of all logs in the folder, those of earlier runs included; there all recording ends."""

    def __post_init__(self) -> None:
        """Refuse files that hold nothing."""
        within("record.max_file_bytes", self.max_file_bytes, 4096, 2**40)
        within("record.max_total_bytes", self.max_total_bytes, 4096, 2**50)
