"""J: what reaches the server from beside it: the pipe to the engine, and its own sudden end."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import messages
from tests.attacks.harness import reply_of, session, target
from tests.attacks.target import ECHO

pytestmark = [pytest.mark.slow]

_UNIX = socket.AF_UNIX
_PATIENCE_S = 40.0

wire = pytest.mark.wire(only="uvloop")


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, sprung: str) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path(self.sprung),)  # type: ignore[return-value]


def worker_with(sent: bytes, *, owner: int | None = None) -> tuple[int, str]:
    """An engine's process whose server sends this and no more; its exit code and its words.

    Args:
        sent: All that is written before the server's end is closed.
        owner: Whose the server's end is to the kernel; ``None`` for our own.
    """
    with tempfile.TemporaryDirectory(prefix="kaiwa-j-") as folder, socket.socket(_UNIX) as door:
        path = Path(folder) / "engine.sock"
        door.bind(str(path))
        door.settimeout(_PATIENCE_S)
        if owner is not None:
            os.seteuid(owner)
        door.listen()  # the kernel remembers who said this
        os.seteuid(os.getuid())
        command = [sys.executable, "-m", "engine.worker", str(path)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            peer, _ = door.accept()
            with peer, contextlib.suppress(BrokenPipeError):
                peer.sendall(sent)
                peer.shutdown(socket.SHUT_WR)
                _, told = process.communicate(timeout=_PATIENCE_S)
        finally:
            process.kill()
            process.wait()
        return process.returncode, told


def framed(body: bytes) -> bytes:
    """A frame around anything."""
    return struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(framed(b"x" * 100)[:50], id="J01-truncated-frame"),
        pytest.param(b"\xff\xff\xff\xff" + b"x" * 1000, id="J02-length-of-4-GiB"),
        pytest.param(
            framed(msgspec.msgpack.encode({"type": "start2", "config": {}})), id="J03a-unknown-kind"
        ),
        pytest.param(
            framed(msgspec.msgpack.encode({"type": "start", "config": {"v": 9}})),
            id="J03b-another-version",
        ),
        pytest.param(messages.encode(messages.Cancel(["a"])), id="no-start-first"),
    ],
)
def test_an_engine_that_is_told_nonsense_ends(sent: bytes) -> None:
    """With an exit code and without a traceback, and long before it loads anything."""
    code, told = worker_with(sent)
    assert code not in (0, None)
    assert "Traceback" not in told


def test_j04_a_pickle_is_not_unpacked(tmp_path: Path) -> None:
    """J04: on either side of the pipe it is bytes that are no message."""
    sprung = tmp_path / "sprung"
    bait = pickle.dumps(Trap(str(sprung)))
    code, told = worker_with(framed(bait))
    assert code != 0
    assert "Traceback" not in told
    with pytest.raises(messages.BrokenFrame):
        messages.decode_from_engine(bait)
    assert not sprung.exists()


def test_j05_a_socket_of_somebody_else_is_not_talked_to() -> None:
    """J05: the kernel says whose it is; the engine leaves before it reads a word."""
    if os.getuid() != 0:
        pytest.skip("only root can be two users")
    code, told = worker_with(messages.encode(messages.Shutdown()), owner=65534)
    assert code != 0
    assert "belongs to user 65534; refused" in told


@wire
async def test_j10_a_killed_server_leaves_nothing_in_the_way_of_the_next(tmp_path: Path) -> None:
    """J10: what was acknowledged is kept, and the next one goes on with it."""
    async with target(tmp_path) as there, session(there) as client:
        await client.send('{"type":"session.update","session":{}}')
        created = await _updated(client)
        await reply_of(client, f"{ECHO}hello")
        there.process.send_signal(signal.SIGKILL)
        await there.process.wait()
    async with target(tmp_path) as there:
        query = f"model=aoi&conversation={created['conversation']['id']}"
        async with there.attacked(), session(there, query) as client:
            await client.send('{"type":"session.update","session":{}}')
            assert (await _updated(client))["conversation"]["num_items"] == 2


async def _updated(client: Any) -> dict[str, Any]:
    event: dict[str, Any] = {"type": ""}
    while event["type"] != "session.updated":
        event = msgspec.json.decode(await client.recv())
    found: dict[str, Any] = event["session"]
    return found
