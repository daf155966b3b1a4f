"""Interrupt means stop: how many steps a cancelled request still takes part in."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from engine.outputs import StepFrame
from engine.request import EngineRequest, FinishReason
from engine.sampling_params import SamplingParams
from tests.support.scripted_model import ScriptedModelRunner, scripted_core


def names() -> Iterator[str]:
    """Ids that are never used twice."""
    number = 0
    while True:
        number += 1
        yield f"r{number}"


@pytest.mark.parametrize("num_cancels", [500, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("look_ahead", [False, True])
def test_a_cancelled_request_is_in_one_more_step_at_most_and_says_nothing(
    num_cancels: int, look_ahead: bool
) -> None:
    """The step in flight ends; nothing is planned, delivered or held after that."""
    rng = random.Random(num_cancels)
    core = scripted_core(max_num_seqs=8, num_blocks=64, look_ahead=look_ahead)
    runner = core._runner
    assert isinstance(runner, ScriptedModelRunner)
    fresh, live = names(), list[str]()
    acknowledged: set[str] = set()
    longest = 0

    def take(frame: StepFrame) -> None:
        for output in frame.outputs:
            assert output.request_id not in acknowledged, "something came after the end"
            if output.finish_reason is not None:
                acknowledged.add(output.request_id)
                if output.request_id in live:
                    live.remove(output.request_id)

    cancelled = 0
    while cancelled < num_cancels:
        while len(live) < 12:
            live.append(next(fresh))
            prompt = [rng.randrange(900) for _ in range(rng.randint(1, 40))]
            params = SamplingParams(max_tokens=rng.randint(1, 30))
            take(
                core.submit(
                    [EngineRequest(request_id=live[-1], prompt_token_ids=prompt, params=params)]
                )
            )
        for _ in range(rng.randrange(3)):
            take(core.step())
        victim = rng.choice(live)
        in_flight = [p for p in runner._waiting if any(n == victim for n, _, _ in p.batch)]
        longest = max(longest, len(in_flight))
        frame = core.cancel([victim])
        assert [o.finish_reason for o in frame.outputs] == [FinishReason.ABORT]
        take(frame)
        cancelled += 1
        num_plans = len(runner.plans)
        take(core.step())
        for plan in runner.plans[num_plans:]:
            assert victim not in {name for name, _, _ in plan.batch}
        runner.plans.clear()
    core.cancel(live)
    while core.has_work:
        take(core.step())
    core.scheduler.check_integrity()
    assert core.scheduler.kv_cache.num_used_blocks == 0
    assert longest == (1 if look_ahead else 0)
