"""One file of results: what is there is not measured again, what went wrong is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.gpu.results import NotHere, Part, Results


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where results go; its folder is made when it is needed."""
    return tmp_path / "deep" / "results.json"


def part_of(file: Path, seconds: float = 60.0, *, again: bool = False) -> Part:
    """The same part of one file, in one run after the other."""
    return Part(Results(file), "decode", seconds, again=again)


def test_each_row_is_on_disk_at_once(file: Path) -> None:
    """A run that is killed keeps what it has, and is not complete."""
    part_of(file).add("one stream", step_ms=1.5)
    assert Results(file).rows("decode") == {"one stream": {"step_ms": 1.5}}
    assert not Results(file).is_complete("decode")


def test_the_next_run_goes_on_with_what_is_missing(file: Path) -> None:
    """Rows stay; what failed and what was left is tried again."""
    first = part_of(file)
    first.add("one", ms=1.0)
    first.fail("two", "RuntimeError")
    first.leave("three")
    first.finish()
    assert not Results(file).is_complete("decode")
    second = part_of(file)
    assert [second.wants(name) for name in ("one", "two", "three")] == [False, True, True]
    assert not second.has_failed
    second.add("two", ms=2.0)
    second.add("three", ms=3.0)
    second.finish()
    assert Results(file).is_complete("decode")
    assert list(Results(file).rows("decode")) == ["one", "two", "three"]


def test_again_forgets_what_was_there(file: Path) -> None:
    """Everything is measured anew."""
    part_of(file).add("one", ms=1.0)
    assert part_of(file, again=True).wants("one")
    assert Results(file).rows("decode") == {}


def test_what_does_not_fit_into_the_time_is_left_with_a_note(file: Path) -> None:
    """And is nothing that went wrong."""
    part = part_of(file, seconds=5.0)
    assert not part.wants("long", seconds=30.0)
    assert part.wants("short", seconds=1.0)
    part.finish()
    assert Results(file).part("decode")["left"] == ["long"]
    assert not part.has_failed
    assert not Results(file).is_complete("decode")


def test_what_cannot_be_measured_here_is_no_failure(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its reason is kept and the part is complete; any other error fails its own name alone."""
    part = part_of(file)
    with part.measuring("fp8"):
        raise NotHere("unknown setting 'kv_cache_dtype'")
    part.finish()
    assert Results(file).part("decode")["skipped"] == {"fp8": "unknown setting 'kv_cache_dtype'"}
    assert Results(file).is_complete("decode")
    with part.measuring("bf16"):
        raise ValueError("no such thing")
    part.finish()
    assert Results(file).part("decode")["failed"] == {"bf16": "ValueError: no such thing"}
    assert not Results(file).is_complete("decode")
    assert "ValueError" in capsys.readouterr().err


def test_parts_see_each_others_rows(file: Path) -> None:
    """Floors are made of the limits that were measured before."""
    Part(Results(file), "limits", 1.0).add("read", bytes_per_second=4e12)
    assert part_of(file).rows_of("limits") == {"read": {"bytes_per_second": 4e12}}
    assert json.loads(file.read_text())["parts"].keys() == {"limits", "decode"}
