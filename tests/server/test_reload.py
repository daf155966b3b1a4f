"""Keys and certificates are read again, or stay as they are."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

import pytest

from engine.errors import ConfigError
from server.auth.key_file import read_keys
from server.auth.keys import digest_of, hash_text
from server.cards.read import read_card
from server.characters.card_file import character_from_card
from server.characters.card_folder import CardFolder
from server.config.access import AuthConfig, ListenConfig
from server.config.characters import CharactersConfig
from server.reload import Apply, Reloadable, Reloader, certificate_of, keys_of, reloading
from server.state import ServerState
from tests.server.http.rooms import make_state
from tests.support.cards import card_png
from tests.support.fake_engine import FakeEngine
from tests.support.waiting import until


def line(name: str) -> str:
    """A key in its file."""
    return f"{name}:{hash_text(digest_of('kw_' + name))}\n"


def write(file: Path, text: str) -> None:
    """Write a file anew, as an editor does."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o600)
    new.replace(file)


def make_locked(file: Path, *names: str, cards: Path | None = None) -> ServerState:
    """A server with these keys in a file."""
    write(file, "".join(map(line, names)))
    auth = AuthConfig(api_keys_file=file)
    state = make_state(FakeEngine(), auth=auth, characters=CharactersConfig(folder=cards))
    state.auth.replace_keys(read_keys(auth).keys)
    return state


async def look(reloader: Reloader, times: int = 3) -> None:
    """Look often enough for a change to settle."""
    for _ in range(times):
        await reloader.look()


class Thing:
    """Something that a file decides."""

    def __init__(self, file: Path, error: Exception | None = None) -> None:
        self.held: list[str] = []
        self.error = error
        self.reloadable = Reloadable("thing", [file], self._read)
        self._file = file

    def _read(self) -> Apply:
        if self.error is not None:
            raise self.error
        text = self._file.read_text()
        return lambda: self.held.append(text)


async def test_a_change_is_read_once_it_has_settled(tmp_path: Path) -> None:
    """And nothing is read while nothing changes."""
    file = tmp_path / "file"
    file.write_text("old")
    thing = Thing(file)
    reloader = Reloader([thing.reloadable], 5.0)
    await look(reloader)
    assert thing.held == []
    write(file, "new text")
    await look(reloader)
    assert thing.held == ["new text"]


async def test_it_looks_again_and_again_by_itself(tmp_path: Path) -> None:
    """As often as the operator has said."""
    file = tmp_path / "file"
    file.write_text("old")
    thing = Thing(file)
    async with reloading([thing.reloadable], 0.05):
        for text in ("new text", "newer text"):
            write(file, text)
            await until(lambda: text in thing.held)  # noqa: B023


async def test_who_asks_does_not_wait_for_the_next_look(tmp_path: Path) -> None:
    """Nor does a file that has not changed keep it from being read."""
    file = tmp_path / "file"
    file.write_text("same")
    thing = Thing(file)
    async with reloading([thing.reloadable], 3600.0) as reloader:
        reloader.ask()
        await until(lambda: thing.held == ["same"])


@pytest.mark.wire(only="asyncio")
async def test_sighup_asks(tmp_path: Path) -> None:
    """As daemons are told of old; afterwards the signal is what it was."""
    file = tmp_path / "file"
    file.write_text("same")
    thing = Thing(file)
    async with reloading([thing.reloadable], 3600.0):
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: thing.held == ["same"])
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


@pytest.mark.parametrize("error", [ConfigError("is wrong", param="x"), RuntimeError("bug")])
async def test_what_cannot_be_read_is_said_and_tried_at_the_next_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """Once per change, not once per look; and others are read all the same."""
    file = tmp_path / "file"
    file.write_text("old")
    broken, whole = Thing(file, error), Thing(file)
    reloader = Reloader([broken.reloadable, whole.reloadable], 5.0)
    write(file, "broken")
    await look(reloader, 5)
    assert [one.levelno for one in caplog.records].count(logging.ERROR) == 1
    assert "thing not read again, the old stay" in caplog.text
    broken.error = None
    write(file, "mended text")
    await look(reloader)
    assert broken.held == ["mended text"]
    assert whole.held == ["broken", "mended text"]


async def test_keys_come_and_go_while_the_server_runs(tmp_path: Path) -> None:
    """A broken file changes nothing, and an empty one opens nothing."""
    file = tmp_path / "keys"
    state = make_locked(file, "alice")
    opened = state.auth.authenticate("kw_alice", 0.0)
    reloader = Reloader(keys_of(state), 5.0)
    for text in ("alice:sha256:12\n", "", "# all gone\n"):
        write(file, text)
        await look(reloader)
        assert state.auth.principals == ("alice",)
    write(file, line("bob"))
    await look(reloader)
    assert state.auth.principals == ("bob",)
    assert not state.auth.is_still_good(opened, 0.0)


async def test_who_comes_with_a_new_key_finds_its_cards(tmp_path: Path) -> None:
    """They were kept when the name had a key before."""
    mika = character_from_card(read_card(card_png(), file="mika.png"), id="mika")
    CardFolder(tmp_path / "cards").write(mika, "bob")
    file = tmp_path / "keys"
    state = make_locked(file, "alice", cards=tmp_path / "cards")
    assert state.catalog.find("mika", "bob") is None
    reloader = Reloader(keys_of(state), 5.0)
    write(file, line("alice") + line("bob"))
    await look(reloader)
    assert state.catalog.find("mika", "bob") is not None
    assert state.catalog.find("mika", "alice") is None


async def test_a_certificate_is_renewed_when_either_file_changes(tmp_path: Path) -> None:
    """By whoever holds it."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    renewed: list[str] = []
    for file in (cert, key):
        file.write_text("old")
    listen = ListenConfig(tls_cert=cert, tls_key=key)
    reloader = Reloader(certificate_of(listen, lambda: renewed.append("")), 5.0)
    for file in (cert, key):
        write(file, "new text")
        await look(reloader)
    assert len(renewed) == 2


def test_where_there_are_no_files_there_is_nothing_to_read() -> None:
    """Neither keys nor a certificate."""
    state = make_state(FakeEngine())
    assert keys_of(state) == certificate_of(ListenConfig(), lambda: None) == []
