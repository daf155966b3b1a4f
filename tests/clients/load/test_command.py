"""``kaiwa replay`` plays, reports, and refuses what it cannot do, each with its exit code."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from clients.load import command
from server import replay
from tests.clients.load.http_script import HttpScript
from tests.clients.load.scripted_server import Plan, ScriptedServer
from tests.clients.load.test_completions import HELLO

SCRIPT = json.dumps(
    {
        "session_id": "a",
        "start_ms": 0,
        "persona": "aoi",
        "persona_tokens": 4,
        "tokens_per_s": 1000,
        "turns": [
            {"text": "Hello there.", "output_length": 2},
            {"input_length": 3, "output_length": 2},
        ],
    }
)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """One session of two turns."""
    file = tmp_path / "script.jsonl"
    file.write_text(SCRIPT, encoding="utf-8")
    return file


def run(*arguments: object) -> int:
    """Run the command."""
    return replay.main([str(one) for one in arguments])


@pytest.mark.slow
@pytest.mark.wire(only="asyncio")
async def test_two_targets_are_set_side_by_side(script: Path, tmp_path: Path) -> None:
    """Kaiwa's wire and chat completions, the same script; the report has a run of each."""
    kaiwa, chat = ScriptedServer(lambda *_: Plan((0.01, 0.01))), HttpScript(HELLO)
    async with kaiwa.serve() as one, chat.serve() as other:
        urls = ("--url", one, "--url", other)
        code = await asyncio.to_thread(
            run, script, *urls, "--max-lag", 5000, "--no-engine", "--report", tmp_path / "r"
        )
    assert code == 0
    assert kaiwa.said[0] == chat.bodies[0]["messages"][-1]["content"] == "Hello there."
    assert len(kaiwa.said) == len(chat.bodies) == 2
    summary = json.loads((tmp_path / "r" / "summary.json").read_text(encoding="utf-8"))
    figures = [one["figures"] for one in summary["runs"]]
    assert [one["num_completed"] for one in figures] == [2, 2]
    lines = (tmp_path / "r" / "requests.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4


@pytest.mark.slow
@pytest.mark.wire(only="asyncio")
async def test_a_client_that_was_late_refuses_its_own_run(
    script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A nanosecond is allowed; the way out is told."""
    server = ScriptedServer(lambda *_: Plan())
    async with server.serve() as url:
        code = await asyncio.to_thread(run, script, "--url", url, "--max-lag", 1e-6)
    assert code == command.EXIT_INVALID
    assert "--processes" in capsys.readouterr().err


@pytest.mark.slow
def test_a_target_that_nobody_reached_is_none(
    script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report of the others is written all the same."""
    urls = ("--url", "http://127.0.0.1:9", "--url", "simulator")
    report = ("--report", tmp_path / "r")
    assert run(script, *urls, "--max-lag", 5000, *report) == command.EXIT_UNUSABLE
    told = capsys.readouterr().err
    assert "chat 127.0.0.1:9: every request failed (connect_failed)" in told
    assert (tmp_path / "r" / "report.html").exists()


def test_the_simulator_is_a_target(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a model and without waiting."""
    assert run(script, "--url", "simulator:two-core-demo") == 0
    assert "2 / 0 / 0" in capsys.readouterr().out


def test_a_certificate_authority_that_is_none_is_told_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before every request fails for it."""
    assert run("chat", "--limit", 1, "--ca-file", "/nowhere.pem") == command.EXIT_UNUSABLE
    assert "cannot read /nowhere.pem" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("no-such-file.jsonl",), "neither a file nor one of"),
        (("chat", "--url", "ws://a", "--url", "ws://b", "--name", "x"), "one of each"),
        (("chat", "--url", "ftp://a"), "begins with ws://, wss://, http://"),
        (("chat", "--url", "http://"), "no server's address"),
        (("chat", "--url", "http://a:port"), "no server's address"),
        (("chat", "--limit", 3, "--max-context", 1), "fits into --max-context"),
        (("chat", "--limit", 3, "--tokenizer", "nowhere"), "nowhere"),
        (("chat", "--limit", 3, "--url", "simulator:abacus"), "abacus"),
        (
            ("chat", "--limit", 3, "--url", "simulator", "--arrivals", "closed:2"),
            "no closed arrivals",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    arguments: tuple[object, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the exit code of wrong usage, and no traceback."""
    assert run(*arguments) == 2
    told = capsys.readouterr().err
    assert complaint in told
    assert told.strip().startswith("kaiwa replay: ")
