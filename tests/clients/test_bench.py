"""``kaiwa bench``: the figures, the trace, and what is told when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clients.bench import main
from clients.engine_trace import excerpt
from tests.clients.live_server import live_server

pytestmark = pytest.mark.wire


def test_figures_and_steps_are_written_where_keys_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key opens the sockets and the feed alike."""
    keys, figures, trace = tmp_path / "keys", tmp_path / "figures", tmp_path / "trace"
    keys.write_text("alice: sk-alice\n")
    with live_server(api_keys_file=keys) as server:
        arguments = ["--url", server.url, "--streams", "1,2", "--turns", "1"]
        arguments += ["--trace", str(trace), "--json", str(figures)]
        assert main([*arguments, "--api-key-file", str(keys)]) == 0
        assert [result["replies"] for result in json.loads(figures.read_text())] == [1, 2]
        steps = [json.loads(line)["step"] for line in trace.read_text().splitlines()]
        assert steps
        assert steps == sorted(steps)
        capsys.readouterr()
        assert main(arguments) == 1
    told = capsys.readouterr().err
    assert "no trace of the engine" in told
    assert "401" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "arguments",
    [
        ["--streams", "x"],
        ["--streams", "0"],
        ["--streams", "1,,2"],
        ["--turns", "0"],
        ["--max-tokens", "-1"],
        ["--json", "/no/such/folder/figures"],
        ["--trace", "/"],
    ],
)
def test_mistakes_are_told_before_anything_is_measured(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Usage and the option at fault, with the exit code of a wrong command line."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert f"argument {arguments[0]}" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"# nobody\n\nalice:\n", b"\xff\xfe"])
def test_a_useless_key_file_is_told_by_its_name(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing, without a key, or no text at all."""
    file = tmp_path / "my.key"
    if content is not None:
        file.write_bytes(content)
    assert main(["--api-key-file", str(file)]) == 1
    assert "my.key" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_useless_certificate_authority_is_told_by_its_name(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anybody is called."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    arguments = ["--url", "wss://127.0.0.1:1", "--ca-file", str(file), "--streams", "1"]
    assert main(arguments) == 1
    assert "ca.pem" in capsys.readouterr().err


def step(number: int, batch: str, *, joined: str = "", left: str = "") -> dict[str, Any]:
    """One step of the feed; a capital letter is a sequence that is prefilled."""
    return {
        "step": number,
        "running": len(batch) - len(left),
        "joined": list(joined),
        "left": list(left),
        "kv_blocks_used": 1,
        "batch": [(name.lower(), "prefill" if name.isupper() else "decode", 1) for name in batch],
    }


def test_the_excerpt_shows_a_join_and_a_leave_in_one_step() -> None:
    """Of several such steps the one in which most others decode."""
    steps = [
        step(1, "abC", joined="c", left="a"),
        step(2, "bcdE", joined="e", left="b"),
        step(3, "cdeF", joined="f"),
    ]
    told = excerpt(steps)
    assert told.startswith("one step")
    assert "step 2: 3 running, joined ['e'], left ['b']" in told


def test_the_excerpt_says_when_it_took_two_steps() -> None:
    """A full batch: the place is taken in the step after the one that left it."""
    steps = [step(1, "abc", left="a"), step(2, "bcD", joined="d"), step(4, "bcd", left="b")]
    told = excerpt(steps)
    assert told.startswith("two steps in a row")
    assert "left ['a']" in told
    assert "joined ['d']" in told


def test_the_excerpt_owns_up_when_there_is_nothing_to_show() -> None:
    """Alone, nobody decodes meanwhile; and steps with a gap between are not in a row."""
    assert excerpt([]).startswith("nobody")
    assert excerpt([step(1, "aB", joined="b", left="a")]).startswith("nobody")
    assert excerpt([step(1, "ab", left="a"), step(3, "bC", joined="c")]).startswith("nobody")
