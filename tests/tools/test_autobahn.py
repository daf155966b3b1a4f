"""How verdicts of the suite are compared, and the door that it dials."""

from __future__ import annotations

from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tools.autobahn import (
    MAX_MESSAGE_BYTES,
    SuiteMissing,
    case_key,
    compare,
    echo_door,
    install,
    read_baseline,
)


def test_a_case_that_does_worse_is_named() -> None:
    """The case, what it did, and what was agreed upon."""
    assert compare({"1.1.1": "FAILED"}, {"1.1.1": "OK"}) == [
        "1.1.1: FAILED, and the baseline has OK"
    ]


def test_a_case_may_do_better() -> None:
    """Some are strict by chance only."""
    assert compare({"4.1.5": "OK"}, {"4.1.5": "NON-STRICT"}) == []
    assert compare({"4.1.5": "NON-STRICT"}, {"4.1.5": "OK"}) != []


def test_an_unknown_case_is_named() -> None:
    """A newer suite does not pass unseen."""
    assert compare({"1.1.9": "OK"}, {}) == ["1.1.9: OK, and the baseline has no such case"]


def test_cases_sort_as_they_are_numbered() -> None:
    """Not as text."""
    assert sorted(["10.1.1", "9.8", "1.1.10", "1.1.2"], key=case_key) == [
        *("1.1.2", "1.1.10", "9.8", "10.1.1"),
    ]


def test_the_baseline_admits_one_failure() -> None:
    """A close frame in the middle of a message, which the library ends with 1002."""
    assert [case for case, verdict in read_baseline().items() if verdict == "FAILED"] == ["7.1.5"]


def test_without_an_interpreter_the_suite_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the way out is named."""
    monkeypatch.delenv("PYTHON2", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    with pytest.raises(SuiteMissing, match="PYTHON2"):
        install(tmp_path / "cache")


@pytest.mark.wire(only="uvloop")
async def test_the_door_echoes() -> None:
    """Text as text, bytes as bytes, and larger messages than the server takes."""
    async with echo_door() as url, connect(url, max_size=MAX_MESSAGE_BYTES) as client:
        for message in ("text", b"bytes", "x" * 2**20):
            await client.send(message)
            assert await client.recv() == message
