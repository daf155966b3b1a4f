"""What systemd is told, over a real socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.notify import Notifier, Watchdog


@pytest.fixture(params=["path", "abstract"])
def line(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Where systemd listens, and how the environment calls it."""
    name = f"kaiwa-test-{os.getpid()}"
    is_path = request.param == "path"
    address = str(tmp_path / "notify") if is_path else f"\0{name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(5)
        yield listener, address if is_path else f"@{name}"


def test_each_word_is_one_datagram(line: tuple[socket.socket, str]) -> None:
    """As sd_notify(3) has it."""
    listener, name = line
    notifier = Notifier({"NOTIFY_SOCKET": name})
    assert notifier.is_heard
    said = [
        notifier.ready("http://127.0.0.1:8000"),
        notifier.alive("2 sessions"),
        notifier.status("3 sessions"),
        notifier.stopping("draining"),
    ]
    assert all(said)
    assert [listener.recv(1024) for _ in said] == [
        b"READY=1\nSTATUS=http://127.0.0.1:8000",
        b"WATCHDOG=1\nSTATUS=2 sessions",
        b"STATUS=3 sessions",
        b"STOPPING=1\nSTATUS=draining",
    ]


def test_a_status_cannot_forge_a_word(line: tuple[socket.socket, str]) -> None:
    """It is one line, whatever it holds."""
    listener, name = line
    Notifier({"NOTIFY_SOCKET": name}).status("x\nSTOPPING=1")
    assert listener.recv(1024) == b"STATUS=x STOPPING=1"


@pytest.mark.parametrize("name", ["", "relative", "/nowhere/at/all"])
def test_without_a_listener_nothing_happens(name: str) -> None:
    """A service starts without systemd too."""
    assert not Notifier({"NOTIFY_SOCKET": name}).ready("x")


def test_a_full_line_does_not_block(line: tuple[socket.socket, str]) -> None:
    """Whoever does not read is not waited for."""
    _, name = line
    notifier = Notifier({"NOTIFY_SOCKET": name})
    assert not all(notifier.status("x" * 1000) for _ in range(5000))


def test_the_watchdog_says_how_often() -> None:
    """In microseconds, and only to the process that is meant."""
    heard = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000"}
    assert Notifier(heard).watchdog_s == 30.0
    assert Notifier({**heard, "WATCHDOG_PID": str(os.getpid())}).watchdog_s == 30.0
    assert Notifier({**heard, "WATCHDOG_PID": "1"}).watchdog_s is None
    assert Notifier({"WATCHDOG_USEC": "30000000"}).watchdog_s is None
    assert Notifier({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "soon"}).watchdog_s is None


def test_the_watchdog_is_fed_by_progress_alone(line: tuple[socket.socket, str]) -> None:
    """Four times in a period; who makes none is only described."""
    listener, name = line
    watchdog = Watchdog(Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "60000000"}))
    for second in range(31):
        watchdog.look(float(second), f"at {second}", makes_progress=second < 20)
    assert [listener.recv(1024) for _ in range(3)] == [
        b"WATCHDOG=1\nSTATUS=at 0",
        b"WATCHDOG=1\nSTATUS=at 15",
        b"STATUS=at 30",
    ]


def test_without_a_watchdog_nothing_is_said(line: tuple[socket.socket, str]) -> None:
    """Nobody asked for it."""
    listener, name = line
    Watchdog(Notifier({"NOTIFY_SOCKET": name})).look(0.0, "x", makes_progress=True)
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.recv(1024)
