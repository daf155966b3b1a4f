"""From rate to rate."""

from __future__ import annotations

from clients.replay.metrics import Figures
from clients.replay.records import RunRecord
from clients.replay.report.sweep import sweep
from tests.clients.replay.runs import EN, measured, request

Runs = list[tuple[RunRecord, Figures]]


def rates(target: str = "kaiwa", *, bad_from: float = 1e9, **fields: str) -> Runs:
    """Return four rates, every other reply too late from one of them on."""
    runs = []
    for rate in (1.0, 2.0, 4.0, 8.0):
        late_s = 3.0 if rate >= bad_from else 0.0
        requests = [
            request(f"s{n}", sent_s=n / rate, token_times_s=[n / rate + late_s * (n % 2)])
            for n in range(20)
        ]
        name = f"{target} {rate:g}"
        given = {"target": target, "duration_s": 20 / rate, "offered_per_s": rate} | fields
        runs.append(measured(name, requests=requests, **given))
    return runs


def test_runs_without_a_rate_or_with_one_alone_are_no_sweep() -> None:
    """A point is no curve."""
    assert sweep([measured("a"), measured("b")], EN) == []
    assert sweep(rates()[:1], EN) == []


def test_the_knee_is_marked_where_goodput_leaves_what_is_offered() -> None:
    """The last rate at which all were in time is 2 a second."""
    goodput, ttft = sweep(rates(bad_from=4.0), EN)
    for picture in (goodput, ttft):
        assert "knee 2/s" in picture.body
    assert EN["all good"] in [key.name for key in goodput.keys]


def test_every_target_has_a_curve_and_a_knee_of_its_own() -> None:
    """Named by target and policy."""
    goodput, _ = sweep([*rates("kaiwa", bad_from=8.0), *rates("other", bad_from=2.0)], EN)
    assert "kaiwa fcfs: knee 4/s" in goodput.body
    assert "other fcfs: knee 1/s" in goodput.body


def test_runs_that_do_not_count_are_left_out() -> None:
    """Their client was the bottleneck."""
    assert sweep(rates(invalid="too late"), EN) == []
