"""The command line is read as it is described, and says what is wrong with it."""

from __future__ import annotations

import pytest

from clients.load.options import parse


def test_what_is_not_said_has_a_default() -> None:
    """A trace alone is enough."""
    options = parse(["trace.jsonl"])
    assert (options.arrivals.kind, options.url, options.processes) == ("trace", None, 1)
    assert options.argv == ["trace.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        ([], 0.0),
        (["--sweep"], 30.0),
        (["--rates", "1,2"], 30.0),
        (["--sweep", "--min-duration", "4"], 4.0),
    ],
)  # fmt: skip
def test_runs_at_several_rates_last(arguments: list[str], seconds: float) -> None:
    """Unless it is said how long."""
    assert parse(["t", "--arrivals", "poisson:1", *arguments]).min_duration == seconds


def test_fields_are_json() -> None:
    """Several of them make one object."""
    options = parse(["t", "--field", "temperature=0", "--field", 'stop=["x"]'])
    assert options.field == {"temperature": 0, "stop": ["x"]}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--arrivals", "often"], "arrivals are 'often'"),
        (["--sweep"], "needs arrivals with a rate"),
        (["--rates", "1,2", "--arrivals", "closed:3"], "needs arrivals with a rate"),
        (["--min-duration", "5"], "--min-duration needs arrivals with a rate"),
        (["--rates", "1,x", "--arrivals", "poisson:1"], "'x' is not a number from 0 on"),
        (["--field", "temperature"], "is not NAME=JSON"),
        (["--field", "temperature=warm"], "is not NAME=JSON"),
        (["--limit", "0"], "whole number from 1 on"),
        (["--max-lag", "-1"], "is not a number from 0 on"),
    ],
)
def test_what_is_wrong_is_named(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the exit code of wrong usage."""
    with pytest.raises(SystemExit) as ended:
        parse(["t", *arguments])
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err
