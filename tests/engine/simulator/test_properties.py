"""What must hold of the scheduler whatever happens: random histories under every policy."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from clients.replay.metrics import figures
from clients.replay.records import RunRecord
from clients.replay.script import Session, Turn
from engine.config import Policy
from server.simulation import Settings, simulate
from tests.engine.simulator.support import MACHINE, check_integrity, random_sessions

POLICIES: Sequence[Policy] = ("fcfs", "deadline", "paced")
SEEDS = range(3)


def play(sessions: list[Session], policy: Policy, **changes: object) -> RunRecord:
    """Play sessions to their end, with the scheduler's integrity checked after every step."""
    settings = Settings(policy=policy, check=check_integrity, **changes)  # type: ignore[arg-type]
    return simulate(sessions, MACHINE, settings)


@pytest.mark.slow
@pytest.mark.parametrize("look_ahead", [False, True])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_request_ends_exactly_once_and_as_long_as_it_should(
    policy: Policy, seed: int, look_ahead: bool
) -> None:
    """Random arrivals, interruptions and a budget that is far too small."""
    sessions = random_sessions(seed, priorities=(0, 0, 1, 5))
    run = play(sessions, policy, kv_cache_tokens=768, look_ahead=look_ahead, seed=seed)
    lengths = {
        f"{session.session_id}/{index}": turn.output_tokens
        for session in sessions
        for index, turn in enumerate(session.turns)
    }
    assert {r.request_id for r in run.requests} == set(lengths)
    for record in run.requests:
        assert record.finish in ("stop", "abort")
        assert record.tokens_after_cancel == 0
        if record.finish == "stop":
            assert len(record.token_times_s) == lengths[record.request_id]


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_cancelled_request_is_in_at_most_one_later_step(policy: Policy, seed: int) -> None:
    """With a step in flight, that one; then its slot is another's."""
    sessions = random_sessions(seed, reply=(200, 400), barge_in=0.8)
    run = play(sessions, policy, kv_cache_tokens=4096, look_ahead=True, seed=seed)
    steps = [r.cancel_steps for r in run.requests if r.cancel_steps is not None]
    assert len(steps) > 20
    assert max(steps) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["deadline", "paced"])
def test_the_lowest_priority_is_served_while_higher_ones_keep_coming(policy: Policy) -> None:
    """An aging rule: two steps of priority are outweighed by ``2 * aging_s`` of waiting.

    Urgent requests alone ask for more than the machine can do, all the time.
    """
    urgent = [
        Session(
            session_id=f"urgent-{number}",
            start_s=number * 0.012,
            turns=[Turn(input_tokens=20, output_tokens=40)],
            tokens_per_s=200.0,
        )
        for number in range(4000)
    ]
    humble = Session(
        session_id="humble",
        start_s=0.5,
        turns=[Turn(input_tokens=20, output_tokens=40)],
        priority=2,
        tokens_per_s=200.0,
    )
    run = simulate([*urgent, humble], MACHINE, Settings(policy=policy))
    (record,) = (r for r in run.requests if r.session_id == "humble")
    aging_s = 5.0
    assert record.wait_s is not None
    assert record.wait_s < 2 * aging_s + 5.0
    assert run.duration_s > 40.0


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
def test_nobody_starves_in_an_overload_that_ends(policy: Policy) -> None:
    """A hundred requests at once: the last is served when the work of all is done."""
    sessions = [
        Session(
            session_id=f"s{number}",
            start_s=0.0,
            turns=[Turn(input_tokens=60, output_tokens=40)],
            tokens_per_s=20.0,
            tenant=f"t{number % 2}",
        )
        for number in range(100)
    ]
    run = play(sessions, policy, kv_cache_tokens=1024)
    measured = figures(run)
    assert measured.num_completed == 100
    assert measured.longest_wait_s <= run.duration_s
    assert measured.fairness > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_tenth_of_the_memory_wastes_no_more_than_a_third_of_the_work(
    policy: Policy, seed: int
) -> None:
    """No thrash: preemption is the exception even where memory is for 10 % of the demand."""
    sessions = [
        Session(
            session_id=f"s{number}",
            start_s=0.0,
            turns=[Turn(input_tokens=60 + number % 40, output_tokens=60 + 7 * (number % 10))],
            tokens_per_s=20.0,
        )
        for number in range(60)
    ]
    demand = sum(t.input_tokens + (t.output_tokens or 0) for s in sessions for t in s.turns)
    run = play(sessions, policy, kv_cache_tokens=demand // 10, max_num_seqs=64, seed=seed)
    measured = figures(run)
    assert measured.num_completed == 60
    assert measured.preemption_waste < 1 / 3


def test_a_busy_tenant_does_not_take_everything() -> None:
    """Ninety requests of one and ten of another, at once: the ten do not wait for the ninety."""
    sessions = [
        Session(
            session_id=f"s{number}",
            start_s=0.0 if number < 90 else 0.001,
            turns=[Turn(input_tokens=40, output_tokens=20)],
            tenant="busy" if number < 90 else "modest",
            tokens_per_s=200.0,
        )
        for number in range(100)
    ]
    run = simulate(sessions, MACHINE, Settings(policy="deadline"))
    waits = {"busy": 0.0, "modest": 0.0}
    for record in run.requests:
        waits[record.tenant] = max(waits[record.tenant], record.wait_s or 0.0)
    assert waits["modest"] < 0.6 * waits["busy"]
