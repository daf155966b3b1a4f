"""``kaiwa compare`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clients.compare import main
from clients.replay.metrics import Targets
from clients.replay.saved_runs import write_runs
from server.__main__ import main as kaiwa
from tests.clients.replay.runs import measured, request

QUICK = ["--metric", "ttft_p50"]


def report(
    folder: Path,
    *names: str,
    slower: float = 1.0,
    invalid: str = "",
    ttft_s: float = 1.0,
    sessions: int = 30,
) -> str:
    """Write a report of so many sessions for each name, and return its folder."""
    runs = []
    for name in names:
        requests = [
            request(
                f"s{n}",
                sent_s=float(n),
                token_times_s=[n + slower * wait * (1 + n % 7) for wait in (0.05, 0.06, 0.08)],
            )
            for n in range(sessions)
        ]
        runs.append(measured(name, requests=requests, invalid=invalid, duration_s=31.0))
    write_runs(folder, runs, title="t", about={}, machine={}, targets=Targets(ttft_s=ttft_s))
    return str(folder)


def test_a_report_is_no_worse_than_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0, by the command that people type."""
    one = report(tmp_path / "a", "one")
    assert kaiwa(["compare", one, one, *QUICK]) == 0
    assert "nothing is worse by more than 5 %" in capsys.readouterr().out


def test_a_regression_is_exit_code_1_and_told_to_machines(tmp_path: Path) -> None:
    """All figures are in the file, and what could not be measured is null."""
    one, two = report(tmp_path / "a", "one"), report(tmp_path / "b", "one", slower=2.0)
    file = tmp_path / "change.json"
    assert main([one, two, "--json", str(file)]) == 1
    told = json.loads(file.read_text(encoding="utf-8"))
    assert told["regressed"] is True
    (ttft,) = [m for m in told["runs"][0]["metrics"] if m["metric"] == "ttft_p50"]
    assert ttft["verdict"] == "regression"
    assert ttft["change"] == pytest.approx(1.0)


def test_few_sessions_are_told_to_be_too_few(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """However large the change is: both may have fallen to one side by chance."""
    one = report(tmp_path / "a", "one", sessions=5)
    two = report(tmp_path / "b", "one", sessions=5, slower=2.0)
    assert main([one, two, *QUICK]) == 0
    captured = capsys.readouterr()
    assert "fewer than 6 sessions" in captured.err
    assert "unclear" in captured.out


def test_what_is_not_asked_for_is_no_regression(tmp_path: Path) -> None:
    """Neither is what is allowed."""
    one, two = report(tmp_path / "a", "one"), report(tmp_path / "b", "one", slower=2.0)
    assert main([one, two, "--metric", "errors,goodput"]) == 0
    assert main([one, two, "--metric", "ttft_p50", "--max-regression", "150%"]) == 0


def test_runs_are_paired_by_name_and_single_ones_whatever_they_are_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What only one report has is left out."""
    both, second = report(tmp_path / "a", "alpha", "beta"), report(tmp_path / "b", "beta", "gamma")
    assert main([both, second, *QUICK]) == 0
    out = capsys.readouterr().out
    assert "beta" in out
    assert "alpha" not in out
    one, other = report(tmp_path / "c", "one"), report(tmp_path / "d", "other")
    assert main([one, other, *QUICK]) == 0
    assert "one → other" in capsys.readouterr().out


def test_runs_that_cannot_be_compared_are_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No common name, a run that does not count, no report at all."""
    one, two = report(tmp_path / "a", "one"), report(tmp_path / "b", "two", "three")
    assert main([one, two]) == 2
    assert "no run of A (one) has the name" in capsys.readouterr().err
    assert main([one, report(tmp_path / "c", "one", invalid="lag")]) == 2
    assert "'one' does not count: lag" in capsys.readouterr().err
    assert main([one, str(tmp_path / "nowhere")]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_reports_of_other_targets_are_measured_against_the_first_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And that is said."""
    one, two = report(tmp_path / "a", "one"), report(tmp_path / "b", "one", ttft_s=0.1)
    assert main([one, two, *QUICK]) == 0
    assert "different targets" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        (["--metric", "speed"], "'speed' is no metric; there are ttft_p50"),
        (["--max-regression", "much"], "'much' is no share"),
        (["--max-regression=-1%"], "'-1%' is no share"),
        (["--seed", "x"], "'x' is not a whole number"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    option: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what is possible."""
    with pytest.raises(SystemExit) as left:
        main(["a", "b", *option])
    assert left.value.code == 2
    assert complaint in capsys.readouterr().err
