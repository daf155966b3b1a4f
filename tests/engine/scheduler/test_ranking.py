"""Deadlines and keys."""

from __future__ import annotations

from engine.config import Policy, SchedulerConfig
from engine.cost_model import StepCostModel
from engine.kv_cache.manager import KVCacheManager
from engine.request import EngineRequest, Request, Service
from engine.sampling_params import SamplingParams
from engine.scheduler.admission import Admission
from engine.scheduler.batch import Batch
from engine.scheduler.ranking import Ranking


def make_ranking(policy: Policy = "deadline") -> Ranking:
    """One second to the first token, five seconds of waiting for a step of priority."""
    config = SchedulerConfig(policy=policy, ttft_target_s=1.0, aging_s=5.0)
    kv_cache = KVCacheManager(8, block_size=16)
    admission = Admission(kv_cache, Batch(4, 4, 16), max_rows=4)
    return Ranking(config, StepCostModel.from_coefficients(0.0, 0.0, 0.0, 0.0), admission)


def ranked(ranking: Ranking, number: int, now: float, **service: object) -> Request:
    """Let a request arrive."""
    request = Request(
        EngineRequest(
            request_id=f"r{number}",
            prompt_token_ids=[1],
            params=SamplingParams(),
            service=Service(**service),  # type: ignore[arg-type]
        ),
        stop_token_ids=frozenset(),
        arrival_time=now,
        sequence_number=number,
    )
    ranking.rank(request, now)
    return request


def test_the_earliest_deadline_is_first() -> None:
    """Somebody in a hurry goes before somebody who came a little earlier."""
    ranking = make_ranking()
    patient = ranked(ranking, 1, 0.0)
    hurried = ranked(ranking, 2, 0.5, ttft_target_s=0.2)
    assert (patient.deadline, hurried.deadline) == (1.0, 0.7)
    assert hurried.key < patient.key


def test_priority_goes_first_until_the_other_has_waited_long_enough() -> None:
    """One step of priority is five seconds."""
    ranking = make_ranking()
    lowly = ranked(ranking, 1, 0.0, priority=1)
    assert ranked(ranking, 2, 4.9, priority=0).key < lowly.key
    assert ranked(ranking, 3, 5.1, priority=0).key > lowly.key


def test_first_come_first_served_goes_by_priority_and_arrival_alone() -> None:
    """Deadlines are set for whoever reports on them, and decide nothing."""
    ranking = make_ranking("fcfs")
    first = ranked(ranking, 1, 0.0, priority=1)
    later = ranked(ranking, 2, 100.0, priority=0, ttft_target_s=50.0)
    assert later.key < first.key
    assert later.deadline == 150.0
