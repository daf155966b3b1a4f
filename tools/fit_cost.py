"""Fits a cost model to the steps of a live engine, and says how far it is off."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

import msgspec

from engine.cost_model import Coefficients, StepCostModel, StepShape
from engine.outputs import StepStats

MAX_NOISE = 2000


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        coefficients: Of the cost model.
        num_steps: How many steps it was fitted to.
        error_p50: Median of ``|predicted - measured| / measured``.
        noise: ``measured / predicted`` of some steps, rising; to be drawn from in a simulation.
    """

    coefficients: dict[str, float]
    num_steps: int
    error_p50: float
    noise: list[float]

    def model(self) -> Coefficients:
        """Return the coefficients as the engine knows them."""
        return Coefficients(**self.coefficients)


def samples(steps: Sequence[StepStats]) -> list[tuple[StepShape, float]]:
    """Return what each step held and how long it kept everybody.

    That is the time since the step before it where the engine was busy all along, which contains
    what happens between steps: reading requests, sending tokens. After an idle time it is the
    step's own duration.
    """
    found = []
    for before, step in zip([None, *steps], steps, strict=False):
        if not step.prefill_tokens and not step.decode_tokens:
            continue
        was_busy = before is not None and before.num_running > 0 and step.step == before.step + 1
        seconds = step.time_s - before.time_s if before and was_busy else step.duration_s
        if seconds > 0:
            shape = StepShape(step.decode_tokens, step.prefill_tokens, step.kv_tokens_read)
            found.append((shape, seconds))
    return found


def fit(measured: Iterable[tuple[StepShape, float]]) -> Fit:
    """Fit one model to all samples, the way the engine does it.

    Raises:
        ValueError: There are none.
    """
    known = list(measured)
    if not known:
        raise ValueError("no step was measured; let the engine compute something first")
    model = StepCostModel(window=len(known))
    for shape, seconds in known:
        model.observe(shape, seconds)
    ratios = sorted(seconds / model.predict(shape) for shape, seconds in known)
    errors = [abs(1.0 / ratio - 1.0) for ratio in ratios]
    stride = max(1, len(ratios) // MAX_NOISE)
    return Fit(
        coefficients=model.coefficients._asdict(),
        num_steps=len(known),
        error_p50=statistics.median(errors),
        noise=ratios[stride // 2 :: stride],
    )
