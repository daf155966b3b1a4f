"""J: what reaches the server from beside it, 17 cases: pipe, store, settings and model files.

The engine's death and hanging (four of them) are tested where it is supervised.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import messages
from server.__main__ import main
from server.config import DEMO_MODEL
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


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Start the server with something that cannot work; its one sentence."""
    code = main(["serve", "--port", "0", *arguments])
    told = capsys.readouterr().err
    assert code == 2, told
    assert "Traceback" not in told
    return told


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A settings file, and beside it a store's file."""
    (tmp_path / "kaiwa.toml").write_text('[history]\nfile = "c.db"\n')
    return tmp_path / "c.db"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"this is no database at all" * 400, id="J11a-no-database"),
        pytest.param(b"SQLite format 3\0" + b"\xff" * 8192, id="J11b-damaged"),
    ],
)
def test_a_corrupt_store_is_refused(
    capsys: pytest.CaptureFixture[str], database: Path, content: bytes
) -> None:
    """It is named, and left as it is for whoever can mend it."""
    database.write_bytes(content)
    told = refusal(capsys, "--config", str(database.with_name("kaiwa.toml")))
    assert "c.db" in told
    assert database.read_bytes() == content


def test_j11_a_newer_store_is_refused(capsys: pytest.CaptureFixture[str], database: Path) -> None:
    """J11: nothing that a newer server wrote is touched by an older one."""
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 999")
        connection.execute("CREATE TABLE whatever (x)")
    connection.close()
    told = refusal(capsys, "--config", str(database.with_name("kaiwa.toml")))
    assert "c.db" in told


def test_j12_a_store_that_cannot_be_written_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """J12: told at the start, not with the first words that are lost."""
    (tmp_path / "kaiwa.toml").write_text('[history]\nfile = "/proc/c.db"\n')
    told = refusal(capsys, "--config", str(tmp_path / "kaiwa.toml"))
    assert "/proc/c.db" in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("[limits]\nmax_sesions = 3\n", "limits.max_sesions", id="J13a-unknown-key"),
        pytest.param("[limit]\nx = 3\n", "limit", id="J13b-unknown-room"),
        pytest.param("[limits\nx = 3\n", "kaiwa.toml", id="J14a-bad-TOML"),
        pytest.param("a = \xff", "kaiwa.toml", id="J14b-not-UTF-8"),
    ],
)
def test_settings_that_are_not_understood_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, words: str
) -> None:
    """By file and dotted path; a mistyped limit is no limit that holds."""
    (tmp_path / "kaiwa.toml").write_bytes(text.encode("latin-1"))
    assert words in refusal(capsys, "--config", str(tmp_path / "kaiwa.toml"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the demo model, to be damaged."""
    return Path(shutil.copytree(DEMO_MODEL, tmp_path / "model"))


def model_refusal(capsys: pytest.CaptureFixture[str], model: Path) -> str:
    """Start the server with a model that is not to be loaded."""
    return refusal(
        capsys, "--model", str(model), "--config", str(_keep_nothing(model.parent / "k.toml"))
    )


def _keep_nothing(file: Path) -> Path:
    file.write_text('[history]\nkeep = "off"\n')
    return file


def test_j15_pickled_weights_are_refused(
    capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path
) -> None:
    """J15: they are named, and never unpacked."""
    for weights in model.glob("*.safetensors"):
        weights.unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(str(tmp_path / "sprung"))))
    assert "pickled" in model_refusal(capsys, model)
    assert not (tmp_path / "sprung").exists()


def test_j16_a_models_own_code_is_never_run(
    capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path
) -> None:
    """J16: an architecture that only its repository knows is refused, and its file not imported."""
    sprung = tmp_path / "sprung"
    (model / "modeling_mine.py").write_text(f"open({str(sprung)!r}, 'w')\nclass C: pass\n")
    config = {"model_type": "mine", "auto_map": {"AutoConfig": "modeling_mine.C"}}
    (model / "config.json").write_bytes(msgspec.json.encode(config))
    assert "code from its own repository" in model_refusal(capsys, model)
    assert not sprung.exists()


def test_j17_a_missing_tokenizer_is_named(capsys: pytest.CaptureFixture[str], model: Path) -> None:
    """J17: by its file."""
    (model / "tokenizer.json").unlink()
    assert "tokenizer.json" in model_refusal(capsys, model)
