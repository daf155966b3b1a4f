"""J: what reaches the server from beside it: the pipe, the engine's end, and its own.

The other seven of 17 cases, files that cannot be used, are in ``test_j_refusals``.
"""

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
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection

from engine import messages
from tests.attacks.harness import Target, reply_of, session, target
from tests.attacks.target import ECHO
from tests.attacks.trap import Trap
from tests.support.realtime import receive_until
from tools.kill_engine import engine_pid_of

pytestmark = [pytest.mark.slow]

_UNIX = socket.AF_UNIX
_PATIENCE_S = 40.0

wire = pytest.mark.wire(only="uvloop")


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
            with peer:
                with contextlib.suppress(OSError):  # it may have hung up already
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """The demo model in a process of its own, which may be lost as often as it is."""
    async with target(
        tmp_path_factory.mktemp("real"),
        engine="demo",
        engine__enable_prefix_caching=False,  # a prompt that was read before is read again
        supervision__max_restarts=100,
        supervision__backoff_s=0.0,
        supervision__step_timeout_s=3.0,
        supervision__heartbeat_timeout_s=3.0,
    ) as running:
        yield running


async def ask_with_seed(client: ClientConnection) -> None:
    """Ask for a reply that is always the same, to a prompt that takes a while to read."""
    part = {"type": "input_text", "text": "Once upon a time. " * 40}
    response = {
        "conversation": "none",
        "input": [{"type": "message", "role": "user", "content": [part]}],
        "seed": 11,
        "max_output_tokens": 48,
    }
    event = {"type": "response.create", "response": response}
    await client.send(msgspec.json.encode(event).decode())


async def rest_of(client: ClientConnection) -> tuple[str, str]:
    """How the reply ends, and what all of it was."""
    done = (await receive_until(client, "response.done"))[-1]["response"]
    return done["status"], done["output"][0]["content"][0]["text"]


def strike(there: Target, number: signal.Signals) -> None:
    """Send a signal to the engine's process."""
    pid = engine_pid_of(there.process.pid)
    assert pid is not None
    os.kill(pid, number)


@wire
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("number", "moment"),
    [
        pytest.param(signal.SIGKILL, None, id="J06-killed-before-it-is-asked"),
        pytest.param(signal.SIGKILL, "response.created", id="J07-killed-while-it-reads"),
        pytest.param(signal.SIGKILL, "response.output_text.delta", id="J08-killed-while-it-writes"),
        pytest.param(signal.SIGSTOP, "response.output_text.delta", id="J09-hangs"),
    ],
)
async def test_an_engine_that_is_lost_costs_nobody_a_word(
    real: Target, number: signal.Signals, moment: str | None
) -> None:
    """Another one goes on where it was: each reply is what it would have been, and ends once."""
    told = "engine.supervised_client"
    async with real.attacked(told=told), session(real, "model=kaiwa-demo") as client:
        await ask_with_seed(client)
        expected = await rest_of(client)
        if moment is None:
            strike(real, number)
        await ask_with_seed(client)
        if moment is not None:
            await receive_until(client, moment)
            strike(real, number)
        assert await rest_of(client) == expected


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
