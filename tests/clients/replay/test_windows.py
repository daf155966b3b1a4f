"""Windows over a run."""

from __future__ import annotations

import math

import pytest

from clients.replay.windows import (
    MOST_WINDOWS,
    at_once,
    live_spans,
    percentiles_over_time,
    rate_over_time,
    window_s,
)
from tests.clients.replay.runs import request


@pytest.mark.parametrize("duration_s", [0.0, 0.3, 7.0, 61.0, 3600.0, 1e6])
def test_a_run_has_no_more_windows_than_a_chart_can_show(duration_s: float) -> None:
    """However long it was."""
    assert duration_s / window_s(duration_s) <= MOST_WINDOWS


def test_percentiles_are_those_of_each_window() -> None:
    """Two windows of 10 s, the second with one value; each point lies in the middle."""
    values = [(1.0, 10.0), (2.0, 20.0), (9.9, 30.0), (12.0, 5.0)]
    p50, p100 = percentiles_over_time(values, 10.0, [50.0, 100.0])
    assert p50 == [(5.0, 20.0), (15.0, 5.0)]
    assert p100 == [(5.0, 30.0), (15.0, 5.0)]


def test_a_window_without_values_is_a_hole() -> None:
    """It is neither 0 nor what the neighbours are."""
    (curve,) = percentiles_over_time([(0.5, 1.0), (2.5, 1.0)], 1.0, [50.0])
    assert [math.isnan(value) for _, value in curve] == [False, True, False]


def test_rates_reach_to_the_end_of_the_run() -> None:
    """A window in which nothing came has 0, and counts are per second."""
    assert rate_over_time([0.1, 0.2, 5.0], 2.0, 8.0) == [
        (1.0, 1.0),
        (3.0, 0.0),
        (5.0, 0.5),
        (7.0, 0.0),
    ]


def test_spans_that_overlap_are_counted_together() -> None:
    """One from 0 to 4, one from 1 to 2, in windows of 2 s; whoever ends makes room at once."""
    mean, most = at_once([(0.0, 4.0), (1.0, 2.0), (2.0, 3.0), (3.0, 3.0)], 2.0, 6.0)
    assert mean == [(1.0, 1.5), (3.0, 1.5), (5.0, 0.0)]
    assert most == [(1.0, 2.0), (3.0, 2.0), (5.0, 0.0)]


def test_what_lies_beyond_the_run_is_left_out() -> None:
    """A record with a wrong time does not stretch the axis."""
    mean, most = at_once([(0.0, 1e12)], 1.0, 2.0)
    assert mean == most == [(0.5, 1.0), (1.5, 1.0)]
    assert at_once([], 1.0, 1.0) == ([(0.5, 0.0)], [(0.5, 0.0)])


def test_what_never_ended_lived_to_the_end_of_the_run() -> None:
    """With tokens it did not wait so long."""
    requests = [
        request(sent_s=1.0, ended_s=None, finish=""),
        request(sent_s=2.0, ended_s=None, finish="", token_times_s=[]),
    ]
    live, waiting = live_spans(requests, 9.0)
    assert live == [(1.0, 9.0), (2.0, 9.0)]
    assert waiting == [(1.0, 1.5), (2.0, 9.0)]
