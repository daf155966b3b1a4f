"""Numbers on a command line are read strictly, and complaints hold what was given."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.replay.arguments import (
    above_0,
    add_report_options,
    at_least_0,
    check_report_options,
    positive,
)


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [(positive, "3", 3), (above_0, "0.5", 0.5), (at_least_0, "0", 0.0), (at_least_0, "1e3", 1e3)],
)
def test_a_number_is_read(read: Callable[[str], float], text: str, value: float) -> None:
    """As it is written."""
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (positive, "0"),
        (positive, "1.5"),
        (positive, "²"),
        (above_0, "0"),
        (above_0, "nan"),
        (at_least_0, "-1"),
        (at_least_0, "inf"),
        (at_least_0, ""),
    ],
)
def test_anything_else_is_refused(read: Callable[[str], float], text: str) -> None:
    """In the words of the command line."""
    with pytest.raises(argparse.ArgumentTypeError):
        read(text)


def test_a_report_that_cannot_be_written_is_told_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file stands where its folder should be; one that is not there is made."""
    parser = argparse.ArgumentParser()
    add_report_options(parser.add_argument_group("report"))
    check_report_options(parser, parser.parse_args(["--report", str(tmp_path / "a" / "b")]))
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit):
        check_report_options(parser, parser.parse_args(["--report", str(tmp_path / "file")]))
    assert "file: File exists" in capsys.readouterr().err
