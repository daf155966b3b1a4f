"""Replies by how they ended."""

from __future__ import annotations

from clients.replay.figures.outcomes import completed, errored, incomplete, outcome_figures
from tests.clients.replay.seeded_run import seeded_run


def test_every_request_is_of_exactly_one_kind() -> None:
    """One that never ended is incomplete."""
    requests = seeded_run(8).requests
    requests[0].finish = ""
    kinds = [completed(requests), incomplete(requests), errored(requests)]
    names = [r.request_id for kind in kinds for r in kind]
    assert sorted(names) == sorted(r.request_id for r in requests)
    assert all(kinds)
    assert requests[0] in kinds[1]


def test_rates_are_per_second_of_the_run() -> None:
    """Of those that are given."""
    requests = completed(seeded_run(9).requests)
    found = outcome_figures(requests, 20.0)
    assert found.requests_per_s == len(requests) / 20.0
    assert found.tokens_per_s == found.tokens / 20.0
    assert found.e2e_s.count == found.count == len(requests)
