"""One run over its time."""

from __future__ import annotations

import pytest

from clients.replay.report.over_time import end_of, over_time, ttft_over_time
from clients.replay.report.paints import Paint
from tests.clients.replay.runs import EN, request, run


def test_a_run_is_drawn_from_four_sides() -> None:
    """Percentiles of both waits, rates, and how much went on at once."""
    made = run(requests=[request(turn=turn, sent_s=float(turn)) for turn in range(9)])
    pictures = over_time(made, Paint(0, 0), EN)
    assert [picture.title for picture in pictures] == [
        EN["ttft over time"],
        EN["itl over time"],
        EN["rates"],
        EN["concurrency"],
    ]
    assert all(picture.body and picture.caption for picture in pictures)
    assert [key.name for key in pictures[0].keys] == ["p99", "p90", "p50"]


def test_planned_requests_are_a_curve_of_their_own() -> None:
    """Where a client says when it meant to send."""
    names = []
    for planned_s in (0.0, None):
        made = run(requests=[request(planned_s=planned_s, sent_s=0.01)])
        names.append([key.name for key in over_time(made, Paint(0, 0), EN)[2].keys])
    assert names == [["planned", "sent", "completed"], ["sent", "completed"]]


def test_a_run_lasts_until_its_last_event() -> None:
    """Whatever its record says of its length."""
    made = run(requests=[request(sent_s=5.0, ended_s=None, finish="")], duration_s=1.0)
    assert end_of(made) == pytest.approx(5.9)


def test_ttft_is_sorted_by_when_requests_were_sent() -> None:
    """Not by when the token came."""
    made = run(requests=[request(sent_s=0.0, token_times_s=[8.0]), request(sent_s=9.0)])
    (curve,) = ttft_over_time(made, [50.0])
    assert curve[0][1] == pytest.approx(8000.0)
