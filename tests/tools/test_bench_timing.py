"""What moments come to, and what is asked."""

from __future__ import annotations

import pytest

from tools.bench.timing import Timings, closed_loop, percentile
from tools.bench.workload import Workload


def timings_of(*replies: tuple[float, list[float]]) -> Timings:
    """Each reply's moment of asking and those of its tokens."""
    timings = Timings()
    for index, (asked, tokens) in enumerate(replies):
        timings.asked[index], timings.tokens[index] = asked, tokens
    return timings


def test_percentiles_are_the_nearest_rank() -> None:
    """No value is made up between two."""
    assert [percentile([4.0, 1.0, 3.0, 2.0], p) for p in (0, 25, 50, 51, 100)] == [1, 1, 2, 3, 4]


def test_figures_count_from_the_first_question_to_the_last_token() -> None:
    """Five tokens in two seconds; gaps are within replies only."""
    figures = timings_of((10.0, [10.5, 10.6, 10.9]), (11.0, [11.25, 12.0])).figures()
    assert figures["tokens_per_second"] == pytest.approx(2.5)
    assert figures["ttft_p50_ms"] == pytest.approx(250)
    assert figures["ttft_p99_ms"] == pytest.approx(500)
    assert figures["itl_p50_ms"] == pytest.approx(300)
    assert figures["itl_p99_ms"] == pytest.approx(750)


def test_a_server_that_counts_is_believed() -> None:
    """A piece of text may hold several tokens."""
    assert timings_of((0.0, [1.0, 2.0])).figures(tokens=64)["tokens_per_second"] == 32


def test_an_empty_reply_spoils_the_figures() -> None:
    """A server that answers nothing is not fast."""
    with pytest.raises(ValueError, match="1 of 2 replies were empty"):
        timings_of((0.0, [1.0]), (0.0, [])).figures()


async def test_a_closed_loop_keeps_so_many_in_flight() -> None:
    """Who has finished is followed by the next."""
    timings, running, most = Timings(), 0, 0

    async def reply(index: int, prompt: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        timings.take(index)
        assert prompt == f"p{index}"
        running -= 1

    await closed_loop([f"p{i}" for i in range(7)], 3, timings, reply)
    assert len(timings.asked) == 7
    assert most <= 3


def test_prompts_begin_alike_and_end_differently_in_every_pass() -> None:
    """And the same workload asks the same again."""
    workload = Workload(model="m", streams=(2, 4), prompt_tokens=20, shared_tokens=12)
    first, second = (workload.prompts(number, 2, 1000) for number in (1, 2))
    assert len(first) == 6
    assert {len(prompt) for prompt in first} == {20}
    assert len({tuple(prompt[:12]) for prompt in first + second}) == 1
    assert len({tuple(prompt[12:]) for prompt in first + second}) == 12
    assert Workload.from_json(workload.to_json()).prompts(1, 2, 1000) == first
