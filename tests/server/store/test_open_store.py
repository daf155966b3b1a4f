"""The settings say which store, and the doctor what it would find."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path

import pytest

from engine.errors import ConfigError
from server.config.conversations import HistoryConfig
from server.store.memory_store import InMemoryStore
from server.store.open_store import look_at_store, open_store
from server.store.sqlite_store import SqliteStore
from tests.server.store.rooms import said, write


def test_each_kind_is_made_and_touches_nothing(tmp_path: Path) -> None:
    """Before it is started."""
    file = tmp_path / "folder" / "kept.db"
    assert isinstance(open_store(HistoryConfig(file=file)), SqliteStore)
    assert isinstance(open_store(HistoryConfig(keep="memory")), InMemoryStore)
    assert open_store(HistoryConfig(keep="off")) is None
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_in_the_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of whoever started the server; a folder that is not absolute does not count."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert HistoryConfig().resolved_file == tmp_path / "kaiwa" / "conversations.db"
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", "/home/mio")
    assert HistoryConfig().resolved_file == Path("/home/mio/.local/state/kaiwa/conversations.db")
    assert HistoryConfig(file=Path("x.db")).resolved_file == Path("x.db")


async def keep_one(history: HistoryConfig) -> None:
    """Keep a conversation."""
    store = open_store(history)
    assert store is not None
    await store.start()
    write(store, "c", said("a"))
    await store.aclose()


def test_the_doctor_says_what_is_there(tmp_path: Path) -> None:
    """And makes nothing."""
    history = HistoryConfig(file=tmp_path / "folder" / "kept.db")
    assert look_at_store(history) == f"{history.file} will be made"
    assert list(tmp_path.iterdir()) == []
    asyncio.run(keep_one(history))
    assert look_at_store(history) == f"{history.file}, 1 conversations"
    history.resolved_file.chmod(0o640)
    assert "others may open it" in look_at_store(history)
    assert "until the server stops" in look_at_store(HistoryConfig(keep="memory"))
    assert "nothing is kept" in look_at_store(HistoryConfig(keep="off"))


def test_the_doctor_says_what_cannot_be_used(tmp_path: Path) -> None:
    """As the server would."""
    file = tmp_path / "kept.db"
    other = sqlite3.connect(file)
    other.execute("PRAGMA user_version = 7")
    other.close()
    with pytest.raises(ConfigError, match="it is a database of another program"):
        look_at_store(HistoryConfig(file=file))
    with pytest.raises(ConfigError, match="nothing can be written into"):
        look_at_store(HistoryConfig(file=file / "folder" / "kept.db"))


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    for ask in (open_store, look_at_store):
        with pytest.raises(ConfigError, match=r"pip install 'kaiwa\[postgres\]'"):
            ask(HistoryConfig(keep="postgres"))


def test_an_address_is_read_from_its_file_and_never_shown(tmp_path: Path) -> None:
    """What is no address is refused, and not repeated."""
    file = tmp_path / "dsn"
    history = HistoryConfig(keep="postgres", dsn_file=file)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        look_at_store(history)
    for content in ("", "secret", "postgresql://a b", "mysql://secret"):
        file.write_text(content)
        with pytest.raises(ConfigError, match="holds no address of PostgreSQL") as caught:
            look_at_store(history)
        assert "secret" not in caught.value.message
    file.write_text("postgresql://secret:secret@127.0.0.1:1/x\n")
    with pytest.raises(ConfigError, match="the database cannot be reached") as caught:
        look_at_store(history)
    assert "secret" not in caught.value.message
