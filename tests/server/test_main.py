"""The command line: what it takes, what it says, and how it exits."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from server.__main__ import main
from server.config.shipped import REPOSITORY

pytestmark = pytest.mark.usefixtures("root_logger")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    code = main(arguments)
    told = capsys.readouterr()
    return code, told.out, told.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["serve", "--help"],
        ["config", "show", "--help"],
        ["doctor", "-h"],
        ["card", "-h"],
    ],
)
def test_help_is_there(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Each command explains itself and exits with 0."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0
    assert "usage: kaiwa" in capsys.readouterr().out


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """The first page has commands to copy."""
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "kaiwa serve --model" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [[], ["sing"], ["serve", "--no-such"], ["serve", "--port", "x"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """As argparse has it."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "listen.port is 70000"),
        (["--host", "0.0.0.0"], "--api-keys"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
        (["--api-keys", "nowhere.txt"], "nowhere.txt"),
        (["--character", "nowhere.toml"], "nowhere.toml"),
        (["--character", "nowhere.png"], "nowhere.png: cannot be read"),
        (["--character", "README.md"], "README.md: the file begins with"),
        (["--character", "docs/images/page.png"], "page.png: the picture has no card"),
        (["--character", "docs"], "the folder docs holds no character"),
        (["--dtype", "int2"], "dtype"),
        (["--log-format", "xml"], "log.format"),
        (["--tls-cert", "cert.pem"], "tls_key"),
        (["--kv-cache-tokens", "64", "--kv-cache-memory", "1GiB"], "kv_cache_memory"),
    ],
)
def test_settings_that_cannot_work_exit_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    """One sentence on standard error, no traceback."""
    code, _, err = run(capsys, "serve", *arguments)
    assert code == 2
    assert words in err
    assert err.startswith("kaiwa: ")
    assert "Traceback" not in err


def test_a_taken_port_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    """Told in the first second, before any model is loaded."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, _, err = run(capsys, "serve", "--port", port)
    assert code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in err


def test_config_show_names_every_origin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """File, environment and command line are told apart."""
    file = tmp_path / "kaiwa.toml"
    file.write_text("[engine]\nmax_num_seqs = 5\n")
    monkeypatch.setenv("KAIWA_LISTEN_HOST", "127.0.0.2")
    code, out, _ = run(capsys, "config", "show", "--config", str(file), "--port", "9000")
    assert code == 0
    lines = {line.split(" = ")[0]: line for line in out.splitlines()}
    assert lines["engine.max_num_seqs"].endswith(f"# {file}")
    assert lines["listen.host"].endswith("# environment")
    assert lines["listen.port"].endswith("# command line")
    assert lines["drain.timeout_s"].endswith("# default")


def test_the_configuration_file_may_come_from_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As containers like it."""
    file = tmp_path / "kaiwa.toml"
    file.write_text("[listen]\nport = 9009\n")
    monkeypatch.setenv("KAIWA_CONFIG", str(file))
    assert "listen.port = 9009" in run(capsys, "config", "show")[1]


def test_memory_is_a_size_a_number_or_a_share(capsys: pytest.CaptureFixture[str]) -> None:
    """Each way to name the KV budget reaches the engine as it is meant."""
    for text, shown in (("2GiB", '"2GiB"'), ("0.5", "0.5"), ("1048576", "1048576")):
        out = run(capsys, "config", "show", "--kv-cache-memory", text)[1]
        assert f"engine.kv_cache_memory = {shown} " in out


def test_doctor_fails_on_a_missing_model(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It says what is missing, and the exit code shows it."""
    code, out, _ = run(capsys, "doctor", "--model", str(tmp_path / "none"), "--port", "0")
    assert code == 1
    assert "fail  model" in out
    assert "pass  python" in out


def test_doctor_says_what_reads_chinese_characters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or how to get it; nothing fails without."""
    assert "pass  readings ja    fugashi" in run(capsys, "doctor", "--port", "0")[1]
    monkeypatch.setattr("server.doctor._READINGS", {"zh": ("no-such-package",)})
    assert "warn  readings zh    lip shapes" in run(capsys, "doctor", "--port", "0")[1]


def test_doctor_sees_a_taken_port(capsys: pytest.CaptureFixture[str]) -> None:
    """Before a server does."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        out = run(capsys, "doctor", "--port", port)[1]
    assert "fail  port" in out


def test_doctor_names_what_a_model_folder_lacks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A folder without weights is no model."""
    (tmp_path / "config.json").write_text("{}")
    out = run(capsys, "doctor", "--model", str(tmp_path), "--port", "0")[1]
    assert "lacks *.safetensors, tokenizer.json" in out


@pytest.mark.slow
def test_the_server_knows_no_client() -> None:
    """Importing the command brings in neither clients nor the model's libraries."""
    program = (
        "import sys, server.__main__, server.app\n"
        "print(sorted(m for m in ('clients', 'torch', 'transformers') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 0."""
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("kaiwa ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "fail  access         refusing to listen on 0.0.0.0"),
        (["--api-keys", "nowhere.txt"], "fail  access         cannot read the API keys"),
        (
            ["--tls-cert", "nowhere.pem", "--tls-key", "nowhere.key"],
            "fail  certificate    cannot use the certificate nowhere.pem",
        ),
        (["--character", "docs"], "fail  characters     the folder docs holds no character"),
        (["--character", "README.md"], "fail  character      README.md: the file begins"),
        (
            ["--character", "configs/characters", "--character", "configs/characters/aoi.toml"],
            "fail  character      configs/characters/aoi.toml: there is another with the id 'aoi'",
        ),
        (["--lorebook", "nowhere.json"], "fail  lorebook       nowhere.json: cannot be read"),
    ],
)
def test_the_doctor_finds_what_serve_would_refuse(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    """Before the server is started."""
    code, out, _ = run(capsys, "doctor", "--port", "0", *arguments)
    assert code == 1
    assert words in out


def test_config_check_says_all_that_is_wrong(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One line each, and exit code 2."""
    file = tmp_path / "kaiwa.toml"
    file.write_text('[listen]\nport = 99999\n[log]\nlevel = "loud"\n')
    code, out, err = run(capsys, "config", "check", "--config", str(file))
    assert (code, out, len(err.splitlines())) == (2, "", 2)
    assert "listen.port" in err
    assert "log.level" in err


def test_config_check_looks_into_the_files_that_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Keys, certificate and characters, without starting anything."""
    keys = str(tmp_path / "keys.txt")
    code, _, err = run(capsys, "config", "check", "--api-keys", keys, "--port", "1")
    assert (code, keys in err) == (2, True)
    Path(keys).write_text("alice:sk-0123456789abcdef0123456789abcdef\n")
    code, out, _ = run(capsys, "config", "check", "--api-keys", keys, "--port", "1")
    assert (code, out) == (0, "the settings are good\n")


def test_the_folder_of_wire_logs_is_looked_at_before_anybody_is_recorded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the doctor and by the check of the settings; neither makes it."""
    monkeypatch.setenv("KAIWA_RECORD_DIR", str(tmp_path / "logs"))
    assert "pass  recording" in run(capsys, "doctor", "--port", "0")[1]
    assert run(capsys, "config", "check")[0] == 0
    assert not (tmp_path / "logs").exists()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs").chmod(0o755)
    assert "fail  recording      wire logs" in run(capsys, "doctor", "--port", "0")[1]
    code, _, err = run(capsys, "config", "check")
    assert (code, "others on this machine can look into it" in err) == (2, True)


def test_the_doctor_looks_at_how_keys_are_kept(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In clear, or where others can read them: both work, and both are told."""
    file = tmp_path / "keys"
    file.write_text("alice:kw_0123456789abcdef0123\n")
    file.chmod(0o644)
    code, out, _ = run(capsys, "doctor", "--port", "0", "--api-keys", str(file))
    warnings = [line for line in out.splitlines() if line.startswith("warn  access")]
    assert code == 0
    assert len(warnings) == 2
    assert "0123456789abcdef" not in out


def test_a_file_of_conversations_that_cannot_be_used_is_told_before_anything_is_loaded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In one line, with the way out; the doctor says the same."""
    file = tmp_path / "kept.db"
    file.write_text("This is no database. " * 1000)
    monkeypatch.setenv("KAIWA_HISTORY_KEEP", "sqlite")
    monkeypatch.setenv("KAIWA_HISTORY_FILE", str(file))
    code, _, err = run(capsys, "serve", "--port", "0")
    assert code == 2
    told = [line for line in err.splitlines() if "kept.db" in line]
    assert len(told) == 1
    assert "the file is no database; put a copy in its place" in told[0]
    code, out, _ = run(capsys, "doctor", "--port", "0")
    assert code == 1
    assert "fail  history" in out
