"""Settings of what the model reads of a conversation, and what is kept of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from server.config.checks import within


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryConfig:
    """What becomes of turns that the context has no room for."""

    auto_summary: bool = True
    """Have the model sum them up in idle time; clients may say otherwise for their sessions."""
    summary_tokens: int = 200
    """Tokens that such a summary may have; never more than an eighth of the longest prompt."""

    def __post_init__(self) -> None:
        """Refuse summaries of no length."""
        within("memory.summary_tokens", self.summary_tokens, 16, 4096)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryConfig:
    """What is kept of conversations when their sockets are gone."""

    keep: Literal["sqlite", "postgres", "memory", "off"] = "sqlite"
    """``sqlite`` in a file, ``postgres`` in a database that several servers may share, ``memory``
    until the server stops: so that they can be gone on with."""
    file: Path | None = None
    """Of ``sqlite``; ``$XDG_STATE_HOME/kaiwa/conversations.db`` where it is left out."""
    durability: Literal["full", "normal"] = "full"
    """Of ``sqlite``: what was acknowledged survives a power cut, or only the end of any process."""
    dsn_file: Path | None = None
    """Of ``postgres``: holds ``postgresql://USER:PASSWORD@HOST/DATABASE``; where it is left out,
    ``PGHOST`` and so on say where the database is, as for PostgreSQL's own programs."""
    max_conversations: int = 10_000
    """Conversations of one key; the least recently changed go first."""
    max_bytes: int = 256 * 1024 * 1024
    """Of everybody's conversations together, about; likewise."""

    def __post_init__(self) -> None:
        """Refuse to keep less than one."""
        within("history.max_conversations", self.max_conversations, 1, 1_000_000)
        within("history.max_bytes", self.max_bytes, 64 * 1024, 2**40)

    @property
    def resolved_file(self) -> Path:
        """Where ``sqlite`` keeps them; XDG Base Directory Specification 0.8 for the default."""
        if self.file is not None:
            return self.file
        state = os.environ.get("XDG_STATE_HOME", "")
        folder = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
        return folder / "kaiwa" / "conversations.db"
