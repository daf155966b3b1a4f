"""The search for the knee ends near it, from either side, within its runs."""

from __future__ import annotations

import pytest

from clients.replay.sweep import Sweep


def search(knee: float, first: float, *, max_runs: int = 10) -> tuple[Sweep, list[float]]:
    """Search on a server that keeps every rate up to ``knee``."""
    sweep = Sweep(first, max_runs=max_runs)
    tried = []
    while (rate := sweep.next_rate()) is not None:
        tried.append(rate)
        sweep.add(rate, 1.0 if rate <= knee else 0.5)
    return sweep, tried


@pytest.mark.parametrize(("knee", "first"), [(11.0, 1.0), (0.3, 4.0), (5.0, 5.0), (7.7, 64.0)])
def test_the_knee_lies_between_the_two_rates(knee: float, first: float) -> None:
    """Which are near each other."""
    sweep, tried = search(knee, first)
    assert sweep.failed is not None
    assert sweep.kept <= knee < sweep.failed <= sweep.kept * 1.15
    assert len(tried) == len(set(tried)) <= 10


def test_it_ends_after_so_many_runs() -> None:
    """A server that keeps everything would be asked for ever."""
    _, tried = search(1e12, 1.0, max_runs=4)
    assert tried == [1.0, 2.0, 4.0, 8.0]


def test_a_server_that_keeps_nothing_is_left_alone() -> None:
    """With no rate kept."""
    sweep, tried = search(0.0, 1.0, max_runs=5)
    assert (sweep.kept, len(tried)) == (0.0, 5)


@pytest.mark.parametrize(
    ("knee", "sentence"),
    [
        (1e12, "8 a second are kept, and no rate was tried that is not"),
        (0.0, "no rate that was tried is kept, the lowest was 0.125 a second"),
        (1.0, "1 a second are kept, 1.19 are not"),
    ],
)
def test_what_was_found_is_a_sentence(knee: float, sentence: str) -> None:
    """Also when nothing was."""
    sweep, _ = search(knee, 1.0, max_runs=4)
    assert sweep.verdict() == sentence
