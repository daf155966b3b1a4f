"""A run's figures, from records made by hand."""

from __future__ import annotations

import json
import math

import pytest

from clients.replay.metrics import Targets, as_json, figures
from clients.replay.records import RequestRecord, RunRecord


def record(
    name: str = "r", *, sent: float = 0.0, times: tuple[float, ...] = (), finish: str = "stop"
) -> RequestRecord:
    """Return a finished request."""
    return RequestRecord(
        request_id=name,
        session_id=name,
        turn=0,
        sent_s=sent,
        token_times_s=list(times),
        ended_s=times[-1] if times else sent,
        finish=finish,
        prompt_tokens=100,
        cached_tokens=25,
    )


def run(*requests: RequestRecord, duration: float = 10.0) -> RunRecord:
    """Return a run of these."""
    return RunRecord(
        name="run", policy="fcfs", load=1.0, requests=list(requests), duration_s=duration
    )


def test_times_are_measured_from_sending_and_between_tokens() -> None:
    """TTFT, ITL, TPOT and end to end of one reply."""
    measured = figures(run(record(sent=1.0, times=(1.5, 1.6, 2.0))))
    assert measured.ttft_s.at(50) == pytest.approx(0.5)
    assert measured.itl_s.highest == pytest.approx(0.4)
    assert measured.tpot_s.mean == pytest.approx(0.25)
    assert measured.e2e_s.mean == pytest.approx(1.0)


def test_rates_and_shares_are_over_the_whole_run() -> None:
    """Six tokens and two replies in ten seconds, a quarter of the prompts cached."""
    measured = figures(run(record("a", times=(1, 2, 3)), record("b", times=(1, 2, 3))))
    assert measured.tokens_per_s == pytest.approx(0.6)
    assert measured.requests_per_s == pytest.approx(0.2)
    assert measured.cached_share == pytest.approx(0.25)


def test_goodput_counts_what_kept_both_targets() -> None:
    """One was late to start, one slow to go on, one kept both."""
    measured = figures(
        run(
            record("late", times=(2.0, 2.1)),
            record("slow", times=(0.5, 1.5)),
            record("good", times=(0.5, 0.6)),
        ),
        Targets(ttft_s=1.0, itl_s=0.2),
    )
    assert measured.goodput_share == pytest.approx(1 / 3)


def test_ends_of_each_kind_are_kept_apart() -> None:
    """Errors by code; what never ended is no success."""
    failed = record("x", finish="error")
    failed.error_code = "queue_full"
    open_ended = record("y", finish="")
    open_ended.ended_s = None
    measured = figures(
        run(failed, open_ended, record("z", finish="abort"), record("w", times=(1,)))
    )
    assert (measured.num_errors, measured.errors) == (1, {"queue_full": 1})
    assert (measured.num_unfinished, measured.num_aborted, measured.num_completed) == (1, 1, 1)


def test_a_request_that_never_got_a_token_still_waited() -> None:
    """Its wait is until it ended."""
    starved = record("s", sent=1.0, finish="abort")
    starved.ended_s = 8.0
    assert figures(run(starved)).longest_wait_s == pytest.approx(7.0)


def test_a_run_without_requests_has_figures_too() -> None:
    """And they can be written as JSON, which knows no NaN."""
    measured = figures(run())
    assert math.isnan(measured.ttft_s.at(99))
    assert json.loads(json.dumps(as_json(measured), allow_nan=False))["ttft_s"]["mean"] is None


def test_replies_of_each_kind_are_measured_apart_and_together() -> None:
    """The run's TTFT has the interrupted one; that of completed replies is what vLLM reports."""
    measured = figures(
        run(
            record("done", times=(1.0, 1.1)),
            record("cut", times=(3.0, 3.1), finish="abort"),
            record("failed", times=(5.0,), finish="error"),
        )
    )
    assert measured.ttft_s.mean == pytest.approx(3.0)
    assert measured.completed.ttft_s.mean == pytest.approx(1.0)
    assert measured.incomplete.ttft_s.mean == pytest.approx(3.0)
    assert measured.errored.count == 1


def test_token_goodput_counts_the_tokens_of_good_replies() -> None:
    """Two of five tokens came in time."""
    measured = figures(run(record("late", times=(2.0, 2.1, 2.2)), record("good", times=(0.5, 0.6))))
    assert measured.goodput_tokens_per_s == pytest.approx(0.2)
    assert measured.tokens_per_s == pytest.approx(0.5)


def test_objectives_that_were_not_set_are_not_asked() -> None:
    """The two that were always there keep their defaults."""
    assert Targets().limits_s() == {"ttft": 1.0, "itl": 0.2}
    assert Targets(itl_s=None, e2e_s=3.0).limits_s() == {"ttft": 1.0, "e2e": 3.0}


def test_send_lag_is_measured_where_there_was_a_plan() -> None:
    """A request without one is not counted as punctual."""
    late = record("late", sent=1.25, times=(2.0,))
    late.planned_s = 1.0
    measured = figures(run(late, record("free", times=(2.0,))))
    assert (measured.lag_s.count, measured.lag_s.highest) == (1, 0.25)


def test_what_nobody_saw_is_unknown_and_not_0() -> None:
    """A foreign server's preemptions, its cache, its events' numbers."""
    foreign = record(times=(1.0,))
    foreign.prompt_tokens = 0
    measured = figures(run(foreign))
    assert measured.num_preemptions is None
    assert measured.wire is None
    assert math.isnan(measured.preemption_waste)
    assert math.isnan(measured.cached_share)


def test_a_target_that_numbers_its_events_has_counted_zeros() -> None:
    """Nothing lost is a finding there."""
    whole = run(record(times=(1.0,)))
    whole.target = "kaiwa"
    found = as_json(figures(whole))["wire"]
    assert found == {"resumes": 0, "gaps": 0, "duplicates": 0, "text_differs": 0}
