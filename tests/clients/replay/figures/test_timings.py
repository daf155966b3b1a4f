"""The times of one reply."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from clients.replay.figures.timings import (
    e2e_s,
    first_segment_s,
    gaps,
    last_token_s,
    mean_itl_s,
    ntpot_s,
    num_output_tokens,
    tpot_s,
    ttst_s,
)
from clients.replay.records import RequestRecord


def reply(
    times: Sequence[float], *, tokens: int | None = None, finish: str = "stop"
) -> RequestRecord:
    """Return a reply that was asked for at second 1 and ended 0.5 s after its last token."""
    return RequestRecord(
        request_id="r",
        session_id="s",
        turn=0,
        sent_s=1.0,
        token_times_s=list(times),
        ended_s=times[-1] + 0.5 if times else 2.0,
        finish=finish,
        output_tokens=tokens,
    )


def test_tokens_of_one_piece_have_no_gap_between_them() -> None:
    """Three pieces, two gaps; the first of them is the time to the second token."""
    request = reply([2.0, 2.0, 2.25, 2.25, 2.75])
    assert gaps(request) == [0.25, 0.5]
    assert ttst_s(request) == 0.25


def test_tpot_stops_at_the_last_token_and_end_to_end_at_the_end() -> None:
    """A terminal event that dawdles does not make tokens slower."""
    request = reply([2.0, 2.5, 3.0])
    assert tpot_s(request) == 0.5
    assert last_token_s(request) == 2.0
    assert e2e_s(request) == 2.5
    assert ntpot_s(request) == pytest.approx(2.5 / 3)


def test_the_targets_count_of_tokens_is_taken() -> None:
    """Five tokens came in three pieces that nobody could take apart."""
    assert tpot_s(reply([2.0, 2.5, 3.0], tokens=5)) == 0.25


def test_of_an_interrupted_reply_only_what_came_is_counted() -> None:
    """The target may have made more."""
    assert num_output_tokens(reply([2.0, 2.5], tokens=9, finish="abort")) == 2


def test_a_first_piece_of_several_tokens_does_not_make_itl_smaller() -> None:
    """One second for two tokens after a piece of three; TPOT divides by four."""
    request = reply([2.0, 2.0, 2.0, 2.5, 3.0])
    assert mean_itl_s(request) == 0.5
    assert tpot_s(request) == 0.25


def test_a_reply_in_one_piece_flowed_in_no_time() -> None:
    """As aiperf has it."""
    assert mean_itl_s(reply([2.0, 2.0])) == 0.0


@pytest.mark.parametrize("times", [[], [2.0]])
def test_what_a_short_reply_lacks_is_nothing_and_not_0(times: list[float]) -> None:
    """No second token, no time between tokens."""
    request = reply(times)
    assert (tpot_s(request), mean_itl_s(request), ttst_s(request)) == (None, None, None)
    assert first_segment_s(request) is None


def test_a_segment_counts_from_sending() -> None:
    """As the first token does."""
    request = reply([2.0])
    request.first_segment_s = 2.5
    assert first_segment_s(request) == 1.5
