"""The report: a table, a summary, one page that loads nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from clients.replay.charts import Line, chart, cumulative, thinned
from clients.replay.metrics import Figures, figures
from clients.replay.page import write_report
from clients.replay.records import RequestRecord, RunRecord, StepRecord


def measured(name: str) -> tuple[RunRecord, Figures]:
    """Return a small run and its figures."""
    request = RequestRecord(
        request_id="r",
        session_id="s",
        turn=0,
        sent_s=0.0,
        token_times_s=[0.5, 0.6, 0.9],
        ended_s=0.9,
        finish="stop",
        prompt_tokens=10,
    )
    step = StepRecord(
        time_s=0.5,
        duration_s=0.1,
        num_running=1,
        num_waiting=0,
        prefill_tokens=10,
        decode_tokens=0,
        kv_used=1,
        kv_cached=0,
        kv_total=8,
    )
    run = RunRecord(
        name=name, policy="fcfs", load=1.0, requests=[request], steps=[step], duration_s=1.0
    )
    return run, figures(run)


def test_a_report_is_three_files_and_loads_nothing(tmp_path: Path) -> None:
    """What is in the page is all of it, and names are escaped."""
    write_report(tmp_path / "new", [measured("<b>")], title="T & U", about={"seed": 1})
    page = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "T &amp; U" in page
    assert page.count("<svg") == 6
    assert not re.search(r"(src|href)=|url\(|@import|<script", page)
    summary = json.loads((tmp_path / "new" / "summary.json").read_text(encoding="utf-8"))
    assert summary["runs"][0]["figures"]["ttft_s"]["p50"] == pytest.approx(0.5)
    (row,) = (tmp_path / "new" / "requests.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(row)["token_times_s"] == [0.5, 0.6, 0.9]


def test_a_distribution_function_climbs_to_1() -> None:
    """Whatever is left out in between."""
    points = cumulative([float(value) for value in range(5000, 0, -1)])
    assert points[-1] == (5000.0, 1.0)
    assert points == sorted(points)
    assert len(points) < 500


def test_thinning_keeps_the_peaks() -> None:
    """A spike of one step is what one looks for."""
    points = [(float(time), 100.0 if time == 777 else 1.0) for time in range(10_000)]
    kept = thinned(points)
    assert (777.0, 100.0) in kept
    assert len(kept) <= 400


@pytest.mark.parametrize("log_x", [False, True])
def test_a_chart_of_one_value_is_still_a_chart(log_x: bool) -> None:
    """Nothing is divided by zero."""
    assert "<polyline" in chart("t", "x", "y", [Line("a", [(5.0, 0.0)])], log_x=log_x)
    assert "nothing to show" in chart("t", "x", "y", [], log_x=log_x)
