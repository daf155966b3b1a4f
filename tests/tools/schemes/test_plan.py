"""What is asked of every scheme."""

from __future__ import annotations

import pytest

from tools.bench.schemes.plan import Plan, trace

PLAN = Plan(model="m", dtype="float32", rates=(2.0, 8.0), requests=40)


def test_a_plan_survives_the_command_line() -> None:
    """As JSON."""
    assert Plan.from_json(PLAN.to_json()) == PLAN


def test_a_trace_is_a_function_of_its_seed() -> None:
    """Another seed gives another one."""
    assert trace(PLAN, 2.0, 100) == trace(PLAN, 2.0, 100)
    other = Plan(model="m", dtype="float32", rates=(2.0,), requests=40, seed=1)
    assert trace(other, 2.0, 100) != trace(PLAN, 2.0, 100)


def test_every_rate_asks_the_same_closer_together() -> None:
    """From the first request on, in order."""
    slow, fast = trace(PLAN, 2.0, 100), trace(PLAN, 8.0, 100)
    assert [one.prompt for one in slow] == [one.prompt for one in fast]
    assert [one.output_tokens for one in slow] == [one.output_tokens for one in fast]
    for left, right in zip(slow, fast, strict=True):
        assert left.start_s == pytest.approx(4 * right.start_s)
    assert slow[0].start_s == 0
    assert [one.start_s for one in slow] == sorted(one.start_s for one in slow)


def test_requests_are_small_and_within_the_vocabulary() -> None:
    """Prompts and replies of at least one token."""
    for ask in trace(PLAN, 1.0, 100):
        assert 1 <= ask.output_tokens <= 100
        assert 2 <= len(ask.prompt) <= 200
        assert all(10 <= token < 100 for token in ask.prompt)
