"""What a step is believed to take, and what it takes to change that belief."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from engine.cost_model import DEFAULT_PRIOR, UNBOUNDED, Coefficients, StepCostModel, StepShape

TRUE = Coefficients(4e-3, 3e-4, 2e-4, 5e-8)


def truth(shape: StepShape) -> float:
    """Return what a step takes on the imagined machine."""
    return StepCostModel(TRUE).predict(shape)


def mixed_steps(seed: int) -> Iterator[StepShape]:
    """Yield steps of a busy server: decodes, with a prompt chunk in one of three."""
    dice = random.Random(seed)
    while True:
        seqs = dice.randrange(0, 64)
        chunk = dice.randrange(16, 512) if dice.random() < 0.3 or seqs == 0 else 0
        yield StepShape(seqs, chunk, seqs * dice.randrange(50, 2000) + chunk)


def taught(
    steps: int, *, seed: int = 1, noise: float = 0.0, prior: Coefficients = DEFAULT_PRIOR
) -> StepCostModel:
    """Return a model that has seen the imagined machine at work."""
    dice = random.Random(seed + 1000)
    model = StepCostModel(prior)
    for shape in itertools.islice(mixed_steps(seed), steps):
        model.observe(shape, truth(shape) * dice.lognormvariate(0.0, noise))
    return model


@pytest.mark.parametrize("seed", range(5))
def test_it_recovers_the_coefficients_under_noise(seed: int) -> None:
    """With 10 % of noise on every step, each coefficient comes out within 15 %."""
    fitted = taught(2000, seed=seed, noise=0.1).coefficients
    assert fitted == pytest.approx(TRUE, rel=0.15)


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_a_prior_of_quite_another_machine_does_no_harm(factor: float) -> None:
    """Only its proportions are used, and only where the data is silent."""
    prior = Coefficients(*(factor * value for value in DEFAULT_PRIOR))
    assert taught(1000, prior=prior).coefficients == pytest.approx(TRUE, rel=0.05)


def test_before_anything_was_measured_it_predicts_with_its_prior() -> None:
    """A profile taken at the start is used from the first step on."""
    assert StepCostModel.from_coefficients(*TRUE).predict(StepShape(2, 10, 100)) == pytest.approx(
        4e-3 + 6e-4 + 2e-3 + 5e-6
    )


@pytest.mark.parametrize("seed", range(20))
def test_no_coefficient_is_ever_negative(seed: int) -> None:
    """Whatever is measured: a longer step is never predicted to be quicker."""
    dice = random.Random(seed)
    model = StepCostModel()
    for _ in range(300):
        shape = StepShape(dice.randrange(5), dice.randrange(3), dice.randrange(1000))
        model.observe(shape, dice.expovariate(100.0) / (1 + shape.num_kv_tokens))
        assert min(model.coefficients) >= 0.0


def test_steps_that_a_busy_machine_stretched_do_not_steer_it() -> None:
    """One step in ten takes five to fifty times as long; predictions stay within 10 %."""
    dice = random.Random(3)
    model = StepCostModel()
    for shape in itertools.islice(mixed_steps(3), 2000):
        stretched = dice.uniform(5, 50) if dice.random() < 0.1 else 1.0
        model.observe(shape, truth(shape) * stretched * dice.lognormvariate(0.0, 0.05))
    for shape in itertools.islice(mixed_steps(4), 100):
        assert model.predict(shape) == pytest.approx(truth(shape), rel=0.1)


def test_a_long_stretch_of_decodes_does_not_make_it_forget_prompts() -> None:
    """Steps with prompt work have a window of their own."""
    model = taught(500)
    for number in range(20_000):
        shape = StepShape(8, 0, 8 * (100 + number % 400))
        model.observe(shape, truth(shape))
    assert model.coefficients.per_new_token_s == pytest.approx(TRUE.per_new_token_s, rel=0.1)


def test_steps_that_all_look_alike_are_predicted_and_the_rest_stays_sane() -> None:
    """A history that cannot tell the constant from the cost per row leaves it to the prior."""
    model = StepCostModel()
    same = StepShape(4, 0, 4000)
    for _ in range(1000):
        model.observe(same, truth(same))
    assert model.predict(same) == pytest.approx(truth(same), rel=0.01)
    other = StepShape(8, 0, 8000)
    assert 1.0 <= model.predict(other) / model.predict(same) <= 2.0


def test_it_follows_a_machine_that_has_become_slower() -> None:
    """Old samples leave the windows."""
    model = taught(1000)
    for shape in itertools.islice(mixed_steps(9), 2000):
        model.observe(shape, 2 * truth(shape))
    shape = StepShape(16, 64, 16_000)
    assert model.predict(shape) == pytest.approx(2 * truth(shape), rel=0.05)


@pytest.mark.parametrize("seed", range(10))
def test_what_fits_is_what_is_predicted_to_fit(seed: int) -> None:
    """One token more than ``max_new_tokens`` would break the budget."""
    dice = random.Random(seed)
    model = taught(200, seed=seed, noise=0.2)
    for _ in range(200):
        seqs, kv_tokens = dice.randrange(64), dice.randrange(100_000)
        budget = dice.uniform(0.0, 0.2)
        fits = model.max_new_tokens(seqs, kv_tokens, budget)
        assert model.predict(StepShape(seqs, fits + 1, kv_tokens)) > budget
        assert fits == 0 or model.predict(StepShape(seqs, fits, kv_tokens)) <= budget


def test_nothing_fits_where_the_rows_alone_take_too_long() -> None:
    """The answer is 0, not a negative count."""
    assert StepCostModel(TRUE).max_new_tokens(64, 0, 1e-3) == 0


def test_prompt_tokens_that_cost_nothing_all_fit() -> None:
    """Then something else has to bound the step."""
    model = StepCostModel.from_coefficients(1e-3, 1e-4, 0.0, 0.0)
    assert model.max_new_tokens(1, 0, 0.01) == UNBOUNDED


def test_the_error_is_told_and_falls_as_it_learns() -> None:
    """A scheduler can see how far to trust the predictions."""
    assert StepCostModel().relative_error == float("inf")
    assert taught(1000, noise=0.05).relative_error < 0.08


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_that_cannot_be_is_passed_over(seconds: float) -> None:
    """A clock that stood still teaches nothing."""
    model = StepCostModel()
    model.observe(StepShape(1, 0, 10), seconds)
    assert model.num_observed == 0


def test_negative_coefficients_are_refused() -> None:
    """A preset with a slip of the pen is named."""
    with pytest.raises(ValueError, match=r"per_seq_s is -1"):
        StepCostModel.from_coefficients(0.0, -1.0, 0.0, 0.0)
