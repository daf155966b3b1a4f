"""Virtual time: steps last what they cost, replies end where the trace says."""

from __future__ import annotations

import pytest

from engine.config import SchedulerConfig
from engine.cost_model import Coefficients, StepCostModel
from engine.errors import ConfigError
from engine.request import EngineRequest, FinishReason
from engine.sampling_params import SamplingParams
from engine.simulator.engine import SimulatedEngine
from engine.simulator.machine import (
    MACHINES,
    find_machine,
    machine_as_json,
    machine_from_json,
    seconds_per_reply,
)

COST = Coefficients(1e-2, 1e-3, 1e-4, 0.0)


def engine(*, look_ahead: bool = False, **limits: object) -> SimulatedEngine:
    """Return an engine whose steps cost round figures."""
    scheduler = SchedulerConfig(policy="fcfs", look_ahead=look_ahead, **limits)  # type: ignore[arg-type]
    return SimulatedEngine(StepCostModel(COST), scheduler, kv_cache_tokens=4096)


def request(name: str, num_prompt: int = 10) -> EngineRequest:
    """Return a submission that says nothing of its reply's length."""
    prompt = [100 + number for number in range(num_prompt)]
    return EngineRequest(request_id=name, prompt_token_ids=prompt, params=SamplingParams())


def run(simulated: SimulatedEngine) -> list[tuple[float, str, FinishReason | None]]:
    """Step until idle; return what came when."""
    seen = []
    while simulated.has_work:
        for output in simulated.step().outputs:
            seen.append((simulated.clock.now, output.request_id, output.finish_reason))
    return seen


def test_a_step_lasts_what_it_costs() -> None:
    """A prompt of ten, and then one row at a time."""
    simulated = engine()
    simulated.submit([request("a")], [3])
    times = [time_s for time_s, _, _ in run(simulated)]
    assert times == pytest.approx([0.011, 0.022, 0.033])


def test_a_reply_ends_by_its_end_token_at_its_length() -> None:
    """Nobody told the scheduler."""
    simulated = engine()
    simulated.submit([request("a"), request("b", 20)], [2, 4])
    seen = run(simulated)
    ends = {name: reason for _, name, reason in seen if reason is not None}
    assert ends == {"a": FinishReason.STOP, "b": FinishReason.STOP}
    assert [name for _, name, _ in seen].count("b") == 4


def test_look_ahead_brings_the_same_tokens() -> None:
    """A step launched early begins when the one before it has ended."""
    plain, ahead = engine(), engine(look_ahead=True)
    for simulated in (plain, ahead):
        simulated.submit([request("a"), request("b", 30)], [5, 3])
    first, second = run(plain), run(ahead)
    assert [entry[1:] for entry in first] == [entry[1:] for entry in second]


def test_what_is_computed_twice_is_counted() -> None:
    """Two replies grow beyond a budget that holds one; the second is computed again."""
    scheduler = SchedulerConfig(policy="fcfs")
    simulated = SimulatedEngine(
        StepCostModel(COST), scheduler, kv_cache_tokens=96, enable_prefix_caching=False
    )
    simulated.submit([request("a", 30), request("b", 30)], [50, 50])
    run(simulated)
    assert simulated.runner.num_recomputed_tokens > 0
    assert simulated.runner.num_computed_tokens - simulated.runner.num_recomputed_tokens == 2 * (
        30 + 49
    )


def test_a_cancelled_request_is_in_no_later_step() -> None:
    """Without look-ahead its slot is free at once."""
    simulated = engine()
    simulated.submit([request("a"), request("b", 20)], [50, 50])
    simulated.step()
    simulated.cancel(["a"])
    run(simulated)
    assert simulated.cancel_steps == {"a": 0}


@pytest.mark.parametrize("name", MACHINES)
def test_presets_can_be_written_down_and_read_back(name: str) -> None:
    """The file of a fit has the same form."""
    machine = MACHINES[name]
    assert machine_from_json(machine_as_json(machine), name) == machine


def test_an_unknown_machine_is_told_with_those_that_are_known() -> None:
    """And so is a file that holds something else."""
    with pytest.raises(ConfigError, match="two-core-demo"):
        find_machine("abacus")
    with pytest.raises(ConfigError, match="is no machine"):
        find_machine("pyproject.toml")


def test_a_larger_batch_shares_the_constant() -> None:
    """Seconds per reply fall towards the cost per row."""
    alone = seconds_per_reply(COST, 1, 0.0, 0.0, 10)
    together = seconds_per_reply(COST, 100, 0.0, 0.0, 10)
    assert alone == pytest.approx(0.11)
    assert together == pytest.approx(0.011)
