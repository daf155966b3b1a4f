"""Which store the settings ask for."""

from __future__ import annotations

import asyncio
import importlib.util

from engine.errors import ConfigError
from server.config.conversations import HistoryConfig
from server.store.interface import ConversationStore
from server.store.memory_store import InMemoryStore
from server.store.sqlite_file import look_at
from server.store.sqlite_store import SqliteStore


def open_store(history: HistoryConfig) -> ConversationStore | None:
    """Make the store, which touches nothing before it is started; ``None`` to keep nothing.

    Raises:
        ConfigError: It needs a package that is not installed.
    """
    most, most_bytes = history.max_conversations, history.max_bytes
    match history.keep:
        case "sqlite":
            return SqliteStore(
                history.resolved_file,
                durability=history.durability,
                max_conversations=most,
                max_bytes=most_bytes,
            )
        case "postgres":
            _need_asyncpg()
            from server.store.postgres_store import PostgresStore

            return PostgresStore(history.dsn_file, max_conversations=most, max_bytes=most_bytes)
        case "memory":
            return InMemoryStore(max_conversations=most, max_bytes=most_bytes)
        case "off":
            return None


def look_at_store(history: HistoryConfig) -> str:
    """Say in a few words what a server would find; changes nothing, and runs its own loop.

    Raises:
        ConfigError: It could not be used.
    """
    match history.keep:
        case "sqlite":
            return look_at(history.resolved_file)
        case "postgres":
            _need_asyncpg()
            from server.store import postgres_database

            return asyncio.run(postgres_database.look_at(history.dsn_file))
        case "memory":
            return "conversations are kept until the server stops"
        case "off":
            return "nothing is kept of conversations"


def _need_asyncpg() -> None:
    if importlib.util.find_spec("asyncpg") is None:
        raise ConfigError(
            "history.keep is 'postgres', and that needs asyncpg; pip install 'kaiwa[postgres]'",
            param="history.keep",
        )
