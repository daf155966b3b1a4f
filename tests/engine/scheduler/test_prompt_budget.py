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


def make_budget(policy: Policy = "deadline", *waiting: Request) -> tuple[PromptBudget, Batch]:
    """10 ms per step and 1 ms per row and prompt token; 50 ms between tokens."""
    queue = WaitingQueue()
    for request in waiting:
        queue.push(request)
    batch = Batch(64, 64, 16)
    cost_model = StepCostModel.from_coefficients(0.01, 0.001, 0.001, 0.0)
    config = SchedulerConfig(policy=policy, max_num_batched_tokens=512)
    return PromptBudget(config, cost_model, batch, queue), batch


def due(at: float) -> Request:
    """A request whose first token is due then."""
    request = make_request()
    request.deadline = at
    return request


def test_prompts_get_what_the_target_leaves() -> None:
    """50 ms less 10 for the step and 20 for the rows."""
    budget, _ = make_budget()
    assert budget.num_tokens(20, 0, 0.0, spare_s=None) == 20


def test_the_prediction_stays_within_the_target_whatever_the_batch() -> None:
    """Unless not even a block would fit: some progress there always is."""
    budget, _ = make_budget()
    for rows in range(1, 60):
        tokens = budget.num_tokens(rows, 0, 0.0, spare_s=None)
        predicted = StepCostModel.from_coefficients(0.01, 0.001, 0.001, 0.0).predict(
            StepShape(rows, tokens, 0)
        )
        assert predicted <= 0.05 + 1e-9 or tokens == MIN_CHUNK


def test_nobody_waits_for_a_token_where_nobody_decodes() -> None:
    """Then the whole token budget is theirs, and so it is under ``fcfs``."""
    budget, _ = make_budget()
    assert budget.num_tokens(0, 0, 0.0, spare_s=None) == 512
    fcfs, _ = make_budget("fcfs")
    assert fcfs.num_tokens(20, 0, 0.0, spare_s=None) == 492


@pytest.mark.parametrize(("due_in_s", "tokens"), [(2.0, 20), (0.2, 100), (0.1, 170), (-5.0, 170)])
def test_first_tokens_that_would_be_late_stretch_the_step(due_in_s: float, tokens: int) -> None:
    """By what they need to be in time, up to four targets."""
    newcomer = make_request(num_prompt=400)
    newcomer.deadline = 10.0 + due_in_s
    budget, _ = make_budget("deadline", newcomer)
    assert budget.num_tokens(20, 0, 10.0, spare_s=None) == pytest.approx(tokens, abs=1)


def test_what_is_cached_as_a_rule_is_not_counted_as_needed() -> None:
    """Nine of ten prompt tokens have been found so far: a tenth has to be read."""
    newcomer = make_request(num_prompt=400)
    newcomer.deadline = 10.2
    budget, _ = make_budget("deadline", newcomer)
    for _ in range(100):
        budget.joined(make_request(num_prompt=100), 90)
    assert budget.num_tokens(20, 0, 10.0, spare_s=None) == 20


def test_a_step_may_take_half_of_what_everybody_can_spare() -> None:
    """And never more than a quarter of a second."""
    budget, _ = make_budget("paced")
    assert budget.num_tokens(20, 0, 0.0, spare_s=0.2) == pytest.approx(70, abs=1)
    assert budget.num_tokens(20, 0, 0.0, spare_s=9.0) == pytest.approx(220, abs=1)


def test_a_first_token_is_at_risk_when_reading_takes_longer_than_its_deadline_allows() -> None:
    """Counting everything that waits, at half of each step."""
    newcomer = due(1.0)
    budget, _ = make_budget("paced", newcomer, make_request(num_prompt=400))
    assert not budget.is_late(newcomer, 0.1)
    assert budget.is_late(newcomer, 0.3)
    assert not budget.is_late(None, 9.0)
