"""What systemd is told, over a real socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.notify import Notifier


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
        notifier.alive(),
        notifier.status("3 sessions"),
        notifier.stopping("draining"),
    ]
    assert all(said)
    assert [listener.recv(1024) for _ in said] == [
        b"READY=1\nSTATUS=http://127.0.0.1:8000",
        b"WATCHDOG=1",
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
