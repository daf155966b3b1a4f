"""Runs on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clients.replay.metrics import Figures, Targets
from clients.replay.records import RunRecord, as_rows
from clients.replay.saved_runs import MOST_STEPS, read_report, read_targets, write_runs
from clients.replay.script import ScriptError
from tests.clients.replay.runs import measured, request, step

TARGETS = Targets()


def write(folder: Path, *runs: tuple[RunRecord, Figures], targets: Targets = TARGETS) -> None:
    """Write runs as a report does."""
    write_runs(folder, runs, title="t", about={"seed": 1}, machine={"python": "3"}, targets=targets)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Every field of run, requests and steps; figures are the same."""
    requests = [
        request("a", planned_s=0.25, server_ms={"queue_ms": 3.5}, num_resumes=2),
        request("b", finish="error", error_code="server_error", token_times_s=[], ended_s=2),
    ]
    first = measured("α", requests=requests, offered_per_s=4.5, target="kaiwa", about={"x": [1]})
    second = measured("b", steps=[], invalid="too late")
    write(tmp_path, first, second)
    assert read_report(tmp_path) == [first, second]


def test_what_text_cannot_hold_does_not_cost_the_report(tmp_path: Path) -> None:
    """File names of odd bytes come as halves of characters; other odd lines stay one line."""
    write(tmp_path, measured("a\udcff", requests=[request("\ud800"), request("b\u2028\x85c")]))
    ((run, _),) = read_report(tmp_path)
    assert run.name == "a?"
    assert [one.session_id for one in run.requests] == ["?", "b\u2028\x85c"]


def test_figures_are_measured_against_the_reports_targets(tmp_path: Path) -> None:
    """Half a second was too long there."""
    write(tmp_path, measured(), targets=Targets(ttft_s=0.4))
    assert read_targets(tmp_path).ttft_s == 0.4
    ((_, figures),) = read_report(tmp_path)
    assert figures.goodput_share == 0.0


def test_steps_are_thinned_evenly(tmp_path: Path) -> None:
    """A long run has more than any chart shows."""
    write(tmp_path, measured(steps=[step(float(number)) for number in range(3 * MOST_STEPS)]))
    ((run, _),) = read_report(tmp_path)
    assert MOST_STEPS / 2 < len(run.steps) <= MOST_STEPS
    assert run.steps[1].time_s - run.steps[0].time_s == run.steps[-1].time_s - run.steps[-2].time_s


def test_steps_of_an_earlier_report_do_not_stay(tmp_path: Path) -> None:
    """They would be taken for this one's."""
    write(tmp_path, measured())
    write(tmp_path, measured(steps=[]))
    assert not (tmp_path / "steps.jsonl").exists()


def test_reports_of_the_first_format_can_be_read(tmp_path: Path) -> None:
    """They had neither targets nor most of a run's fields."""
    write(tmp_path, measured("old", steps=[], duration_s=7.0))
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    (described,) = summary["runs"]
    kept = {name: described[name] for name in ("name", "policy", "load", "about", "figures")}
    old = {"title": "t", "about": {}, "runs": [kept]}
    (tmp_path / "summary.json").write_text(json.dumps(old), encoding="utf-8")
    ((run, _),) = read_report(tmp_path)
    assert (run.duration_s, run.target, len(run.requests)) == (7.0, "simulator", 1)


def test_what_a_later_version_adds_is_passed_over(tmp_path: Path) -> None:
    """Of the summary, of a run and of a request."""
    write(tmp_path, measured(steps=[]))
    for file in ("summary.json", "requests.jsonl"):
        path = tmp_path / file
        fields = json.loads(path.read_text(encoding="utf-8")) | {"added": 1}
        path.write_text(json.dumps(fields), encoding="utf-8")
    assert len(read_report(tmp_path)) == 1


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("summary.json", "{", "summary.json is no JSON"),
        ("summary.json", "[]", "is no JSON object"),
        ("summary.json", "{}", "names no run"),
        ("summary.json", '{"runs": [3]}', "a run is an object"),
        ("summary.json", '{"runs": [{"name": "a"}]}', "missing required field"),
        ("requests.jsonl", '{"run": "two"}', "line 1 belongs to the run 'two'"),
        ("requests.jsonl", '\n{"run": "one", "turn": "x"}', "requests.jsonl, line 2: "),
        ("requests.jsonl", "nonsense", "line 1 is no JSON"),
        ("steps.jsonl", '{"run": "one"}', "steps.jsonl, line 1: "),
        ("requests.jsonl", None, "cannot read"),
        ("summary.json", None, "cannot read"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, file: str, text: str | None, complaint: str
) -> None:
    """By file and line, without a traceback."""
    write(tmp_path, measured("one"))
    if text is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(text, encoding="utf-8")
    with pytest.raises(ScriptError, match=complaint):
        read_report(tmp_path)


def test_two_runs_of_one_name_are_refused(tmp_path: Path) -> None:
    """Their requests could not be told apart."""
    write(tmp_path, measured("one"), measured("one"))
    with pytest.raises(ScriptError, match="two runs of the name 'one'"):
        read_report(tmp_path)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"tokens_per_s": 0.0}, "tokens_per_s is 0"),
        ({"reserve_tokens": -5}, "reserve_tokens is -5"),
        ({"token_times_s": [0.3, 0.2]}, "not in order"),
        ({"token_times_s": [-0.1]}, "begins before sent_s"),
        ({"ended_s": 1e300}, "a time is beyond"),
        ({"server_ms": {"ttft": 1e308}}, "a time in server_ms"),
        ({"finish": "done"}, "finish is 'done', none of stop"),
    ],
)
def test_what_no_client_can_have_measured_is_refused(
    tmp_path: Path, fields: dict[str, Any], told: str
) -> None:
    """With the line: figures of it would be wrong, or could not be computed."""
    write(tmp_path, measured())
    row = {"run": "one", **as_rows([request()])[0], **fields}
    (tmp_path / "requests.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ScriptError, match=f"line 1: .*{told}"):
        read_report(tmp_path)
