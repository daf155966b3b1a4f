"""How a step is divided between streams and prompts."""

from __future__ import annotations

import pytest

from engine.config import Policy, SchedulerConfig
from engine.cost_model import StepCostModel, StepShape
from engine.request import Request
from engine.scheduler.batch import Batch
from engine.scheduler.prompt_budget import MIN_CHUNK, PromptBudget
from engine.scheduler.waiting import WaitingQueue
from tests.engine.scheduler.requests import make_request

COST = (0.01, 0.001, 0.0002, 0.0)


def make_budget(policy: Policy = "deadline", *waiting: Request) -> tuple[PromptBudget, Batch]:
    """10 ms per step, 1 ms per row and 0.2 ms per prompt token; 50 ms between tokens."""
    queue = WaitingQueue()
    for request in waiting:
        queue.push(request)
    batch = Batch(64, 64, 16)
    cost_model = StepCostModel.from_coefficients(*COST)
    config = SchedulerConfig(policy=policy, max_num_batched_tokens=2048)
    return PromptBudget(config, cost_model, batch, queue), batch


def late(due_in_s: float, *, num_prompt: int = 4) -> Request:
    """A request that comes at 0 and whose first token is due so many seconds later."""
    request = make_request(num_prompt=num_prompt)
    request.deadline = due_in_s
    return request


def test_a_step_with_prompts_takes_hardly_longer_than_one_without() -> None:
    """30 ms for twenty rows may become 42: 60 tokens."""
    budget, _ = make_budget()
    assert budget.num_tokens(20, 0, 0.0, spare_s=None) == 60


def test_prompts_get_no_more_than_the_target_leaves() -> None:
    """40 ms for thirty rows might become 56, but the target is 50: 50 tokens."""
    budget, _ = make_budget()
    assert budget.num_tokens(30, 0, 0.0, spare_s=None) == pytest.approx(50, abs=1)


def test_the_prediction_stays_within_the_target_whatever_the_batch() -> None:
    """Unless not even a block would fit: some progress there always is."""
    budget, _ = make_budget()
    for rows in range(1, 60):
        tokens = budget.num_tokens(rows, 0, 0.0, spare_s=None)
        predicted = StepCostModel.from_coefficients(*COST).predict(StepShape(rows, tokens, 0))
        assert predicted <= 0.05 + 1e-9 or tokens == MIN_CHUNK


def test_nobody_waits_for_a_token_where_nobody_decodes() -> None:
    """Then the whole token budget is theirs, and so it is under ``fcfs``."""
    budget, _ = make_budget()
    assert budget.num_tokens(0, 0, 0.0, spare_s=None) == 2048
    fcfs, _ = make_budget("fcfs")
    assert fcfs.num_tokens(20, 0, 0.0, spare_s=None) == 2028


@pytest.mark.parametrize(
    ("due_in_s", "tokens"),
    [
        (9.0, 60),  # in no hurry
        (0.3, 68),  # 0.255 s less 0.08 of reading hold 5.8 steps of 30 ms
        (0.2, 133),
        (0.1, 150),  # twice a step without prompts
        (-5.0, 150),
    ],
)
def test_first_tokens_that_would_be_late_stretch_the_step(due_in_s: float, tokens: int) -> None:
    """By what they need to be in time, up to twice what it would take without them."""
    newcomer = late(due_in_s, num_prompt=400)
    budget, _ = make_budget("deadline", newcomer)
    assert budget.num_tokens(20, 0, 0.0, spare_s=None) == pytest.approx(tokens, abs=1)


def test_the_more_wait_for_each_that_streams_the_longer_a_step_may_take() -> None:
    """Six for two streams: four times 12 ms."""
    crowd = [late(-1.0, num_prompt=400) for _ in range(6)]
    budget, _ = make_budget("deadline", *crowd)
    assert budget.num_tokens(2, 0, 0.0, spare_s=None) == pytest.approx(180, abs=1)


def test_no_crowd_stretches_a_step_beyond_four_targets() -> None:
    """60 for one stream would have it wait for 0.67 s; it waits for 0.2."""
    crowd = [late(-1.0, num_prompt=400) for _ in range(60)]
    budget, _ = make_budget("deadline", *crowd)
    assert budget.num_tokens(1, 0, 0.0, spare_s=None) == pytest.approx(945, abs=1)


def test_what_is_cached_as_a_rule_is_not_counted_as_needed() -> None:
    """Nine of ten prompt tokens have been found so far: a tenth has to be read."""
    budget, _ = make_budget("deadline", late(0.2, num_prompt=400))
    for _ in range(100):
        budget.joined(make_request(num_prompt=100), 90)
    assert budget.num_tokens(20, 0, 0.0, spare_s=None) == 60


def test_a_step_may_take_half_of_what_everybody_can_spare() -> None:
    """And never more than a quarter of a second."""
    budget, _ = make_budget("paced")
    assert budget.num_tokens(20, 0, 0.0, spare_s=0.2) == pytest.approx(350, abs=1)
    assert budget.num_tokens(20, 0, 0.0, spare_s=9.0) == pytest.approx(1100, abs=1)


def test_a_first_token_is_at_risk_when_reading_takes_longer_than_its_deadline_allows() -> None:
    """Counting everything that waits, at half of each step."""
    newcomer = late(1.0)
    budget, _ = make_budget("paced", newcomer, make_request(num_prompt=400))
    assert not budget.is_late(newcomer, 0.8)
    assert budget.is_late(newcomer, 0.9)
    assert not budget.is_late(None, 9.0)
