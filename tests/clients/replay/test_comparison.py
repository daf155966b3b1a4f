"""Two runs set against each other."""

from __future__ import annotations

import dataclasses
import math
import random

import pytest

from clients.replay.comparison import METRICS, Compared, compare
from clients.replay.metrics import Targets, figures
from clients.replay.records import RequestRecord, RunRecord
from clients.replay.script import ScriptError
from tests.clients.replay.runs import request, run


def talk(*, slower: float = 1.0, prefix: str = "s") -> RunRecord:
    """Return forty sessions of three replies, all waits and gaps longer by a factor."""
    dice = random.Random(1)
    requests: list[RequestRecord] = []
    for session in range(40):
        for turn in range(3):
            sent_s = 10.0 * turn + session / 4
            times = [sent_s + slower * dice.uniform(0.1, 0.3)]
            for _ in range(20):
                times.append(times[-1] + slower * dice.uniform(0.02, 0.08))
            requests.append(
                request(f"{prefix}{session}", turn, sent_s, token_times_s=times, ended_s=times[-1])
            )
    return run(requests=requests, duration_s=max(r.ended_s or 0.0 for r in requests))


def verdicts(before: RunRecord, after: RunRecord) -> dict[str, Compared]:
    """Return what became of every metric, of which 5 % are allowed."""
    found = compare(
        before, after, METRICS, targets=Targets(), max_regression=0.05, seed=0, resamples=200
    )
    return {one.metric.name: one for one in found}


def test_a_run_is_no_worse_than_itself() -> None:
    """No metric is better, worse or a regression."""
    told = {one.verdict for one in verdicts(talk(), talk()).values()}
    assert told == {"no clear difference"}


def test_a_slower_run_is_a_regression_and_the_other_way_round_better() -> None:
    """Half as long again in all that listeners wait for."""
    slower = verdicts(talk(), talk(slower=1.5))
    for name in ("ttft_p50", "ttft_p99", "itl_p50", "itl_p99", "tpot_p50", "e2e_p99"):
        assert slower[name].verdict == "regression"
        assert slower[name].change.relative == pytest.approx(0.5, abs=0.01)
    assert verdicts(talk(slower=1.5), talk())["ttft_p50"].verdict == "better"


def test_a_change_within_the_allowance_is_worse_but_no_regression() -> None:
    """Two in a hundred are sure, and allowed."""
    assert verdicts(talk(), talk(slower=1.02))["itl_p50"].verdict == "worse"


def test_sessions_of_other_names_are_compared_as_strangers() -> None:
    """The interval is then wider."""
    same = verdicts(talk(), talk(slower=1.1))["tpot_p50"].change
    apart = verdicts(talk(), talk(slower=1.1, prefix="t"))["tpot_p50"].change
    assert apart.relative == pytest.approx(same.relative)
    assert apart.high - apart.low > same.high - same.low


def test_values_are_those_of_the_report() -> None:
    """A reader finds the same numbers on the page."""
    record = talk()
    record.requests[0].finish, record.requests[0].error_code = "error", "server_error"
    told = {name: one.change.before for name, one in verdicts(record, talk()).items()}
    shown = figures(record)
    assert told["ttft_p99"] == pytest.approx(1e3 * shown.ttft_s.at(99))
    assert told["itl_p50"] == pytest.approx(1e3 * shown.itl_s.at(50))
    assert told["tpot_p50"] == pytest.approx(1e3 * shown.tpot_s.at(50))
    assert told["e2e_p99"] == pytest.approx(1e3 * shown.e2e_s.at(99))
    assert told["tokens_per_s"] == pytest.approx(shown.tokens_per_s)
    assert told["goodput"] == pytest.approx(100 * shown.goodput_share)
    assert told["underruns"] == pytest.approx(shown.reading.underrun_ms_per_minute)
    assert told["qoe"] == pytest.approx(shown.qoe)
    assert told["errors"] == pytest.approx(100 / 120)


def test_many_errors_are_a_regression_though_there_were_none() -> None:
    """From nothing, a rise is measured against a floor."""
    after = talk()
    for record in after.requests[::3]:
        record.finish = "error"
    told = verdicts(talk(), after)
    assert told["errors"].verdict == "regression"
    assert told["goodput"].verdict == "regression"


def test_what_was_not_measured_is_said_to_be_so() -> None:
    """A run without any token has no TTFT, and is not praised for it."""
    after = talk()
    after.requests = [dataclasses.replace(r, token_times_s=[]) for r in after.requests]
    told = verdicts(talk(), after)["ttft_p50"]
    assert told.verdict == "not measured"
    assert math.isnan(told.change.after)


def test_a_run_without_requests_cannot_be_compared() -> None:
    """It says nothing, and that is said."""
    with pytest.raises(ScriptError, match="holds no request"):
        verdicts(talk(), run(requests=[]))
