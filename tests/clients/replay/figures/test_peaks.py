"""The busiest moment of a run."""

from __future__ import annotations

from clients.replay.figures.peaks import peak_concurrency, peak_tokens_per_s
from clients.replay.records import RequestRecord
from tests.clients.replay.seeded_run import seeded_run


def request(sent_s: float, ended_s: float | None) -> RequestRecord:
    """Return a request that was open between the two."""
    return RequestRecord(request_id="r", session_id="s", turn=0, sent_s=sent_s, ended_s=ended_s)


def test_whoever_comes_when_another_leaves_is_not_beside_them() -> None:
    """Two in turn are one at a time; one that never ends stays."""
    assert peak_concurrency([request(0.0, 1.0), request(1.0, 2.0)]) == 1
    assert peak_concurrency([request(0.0, None), request(5.0, 6.0)]) == 2
    assert peak_concurrency([]) == 0


def test_concurrency_is_what_counting_at_every_sending_finds() -> None:
    """It can only rise there."""
    requests = seeded_run(7, 150).requests
    counted = max(
        sum(r.sent_s <= at.sent_s < (r.ended_s or 0.0) for r in requests) for at in requests
    )
    assert peak_concurrency(requests) == counted


def test_tokens_are_counted_by_whole_seconds_from_the_first_sending() -> None:
    """Two within the first, one in the second; nothing has no peak."""
    first = request(10.5, 12.0)
    first.token_times_s = [10.6, 11.4, 11.6]
    assert peak_tokens_per_s([first]) == 2.0
    assert peak_tokens_per_s([]) == 0.0
