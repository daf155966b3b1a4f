"""What listeners felt."""

from __future__ import annotations

from clients.replay.report.felt import felt
from tests.clients.replay.runs import EN, measured, request


def test_send_lag_is_shown_where_times_were_planned() -> None:
    """A simulated run has no client that could be late."""
    planned = measured(requests=[request(planned_s=0.0, sent_s=0.004)])
    assert [picture.title for picture in felt([measured()], EN)][-1] == EN["p99"]
    last = felt([planned], EN)[-1]
    assert last.title == EN["lag"]
    assert last.body


def test_every_picture_says_how_to_read_it_and_which_run_is_which() -> None:
    """With a curve for each run."""
    for picture in felt([measured("a"), measured("b")], EN):
        assert picture.caption
        assert [key.name for key in picture.keys] == ["a", "b"]


def test_replies_that_failed_have_no_end_to_end_time() -> None:
    """An error after a second is no quick reply."""
    failed = measured(requests=[request(finish="error", error_code="server_error")])
    assert not felt([failed], EN)[2].body
