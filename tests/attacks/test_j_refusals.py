"""J: files that the server cannot use, seven of 17 cases: each is refused by name, at the start."""

from __future__ import annotations

import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from server.config.shipped import DEMO_MODEL
from tests.attacks.trap import Trap

pytestmark = [pytest.mark.slow]

_PATIENCE_S = 120.0


def refusal(*arguments: str, wrapper: tuple[str, ...] = ()) -> str:
    """Start the server with something that cannot work; its one sentence.

    Args:
        arguments: Of ``kaiwa serve``.
        wrapper: A command that starts it.
    """
    command = [*wrapper, sys.executable, "-m", "server", "serve", "--port", "0", *arguments]
    # Tests keep conversations in memory, so that nothing is left at home; these say where.
    environment = {name: it for name, it in os.environ.items() if name != "KAIWA_HISTORY_KEEP"}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        _, told = process.communicate(timeout=_PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 2, told
    assert "Traceback" not in told
    return told


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A settings file, and beside it a store's file."""
    file = tmp_path / "c.db"
    (tmp_path / "kaiwa.toml").write_text(f'[history]\nfile = "{file}"\n')
    return file


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"this is no database at all" * 400, id="J11a-no-database"),
        pytest.param(b"SQLite format 3\0" + b"\xff" * 8192, id="J11b-damaged"),
    ],
)
def test_a_corrupt_store_is_refused(database: Path, content: bytes) -> None:
    """It is named, and left as it is for whoever can mend it."""
    database.write_bytes(content)
    told = refusal("--config", str(database.with_name("kaiwa.toml")))
    assert "c.db" in told
    assert database.read_bytes() == content


def test_j11_a_newer_store_is_refused(database: Path) -> None:
    """J11: nothing that a newer server wrote is touched by an older one."""
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 999")
        connection.execute("CREATE TABLE whatever (x)")
    connection.close()
    told = refusal("--config", str(database.with_name("kaiwa.toml")))
    assert "c.db" in told


def test_j12_a_store_that_may_not_be_written_is_refused(database: Path) -> None:
    """J12: told at the start, not with the first words that are lost."""
    wrapper: tuple[str, ...] = ()
    if os.getuid() == 0:  # who may write whatever its mode is, unless that is taken away
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("root may write everything, and there is no setpriv")
        wrapper = (setpriv, "--bounding-set=-dac_override")
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 0")
    connection.close()
    database.chmod(0o444)
    told = refusal("--config", str(database.with_name("kaiwa.toml")), wrapper=wrapper)
    assert "c.db" in told


def test_j12_a_store_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """J12: in a folder that takes no files, whoever asks."""
    (tmp_path / "kaiwa.toml").write_text('[history]\nfile = "/proc/c.db"\n')
    told = refusal("--config", str(tmp_path / "kaiwa.toml"))
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
    tmp_path: Path, text: str, words: str
) -> None:
    """By file and dotted path; a mistyped limit is no limit that holds."""
    (tmp_path / "kaiwa.toml").write_bytes(text.encode("latin-1"))
    assert words in refusal("--config", str(tmp_path / "kaiwa.toml"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the demo model, to be damaged."""
    return Path(shutil.copytree(DEMO_MODEL, tmp_path / "model"))


def model_refusal(model: Path) -> str:
    """Start the server with a model that is not to be loaded."""
    return refusal("--model", str(model), "--config", str(_keep_nothing(model.parent / "k.toml")))


def _keep_nothing(file: Path) -> Path:
    file.write_text('[history]\nkeep = "off"\n')
    return file


def test_j15_pickled_weights_are_refused(model: Path, tmp_path: Path) -> None:
    """J15: they are named, and never unpacked."""
    for weights in model.glob("*.safetensors"):
        weights.unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(str(tmp_path / "sprung"))))
    assert "pickled" in model_refusal(model)
    assert not (tmp_path / "sprung").exists()


def test_j16_a_models_own_code_is_never_run(model: Path, tmp_path: Path) -> None:
    """J16: an architecture that only its repository knows is refused, and its file not imported."""
    sprung = tmp_path / "sprung"
    (model / "modeling_mine.py").write_text(f"open({str(sprung)!r}, 'w')\nclass C: pass\n")
    config = {"model_type": "mine", "auto_map": {"AutoConfig": "modeling_mine.C"}}
    (model / "config.json").write_bytes(msgspec.json.encode(config))
    assert "code from its own repository" in model_refusal(model)
    assert not sprung.exists()


def test_j17_a_missing_tokenizer_is_named(model: Path) -> None:
    """J17: by its file."""
    (model / "tokenizer.json").unlink()
    assert "tokenizer.json" in model_refusal(model)
