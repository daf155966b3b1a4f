"""What a step will take: seconds from how many rows, prompt tokens and KV tokens it holds.

The model is linear, ``base + a * num_seqs + b * num_new_tokens + c * num_kv_tokens``, with
coefficients that are never negative, and it is fitted while the engine runs. Three things make
that harder than a regression from a textbook, and decide the form this takes:

* Minutes may pass with decode steps only. They say nothing of prompts and would push the samples
  that do out of one common window, so each kind of step has a window of its own.
* Such steps also look alike: the batch hardly changes, so the fit cannot tell the constant from
  the cost per row. A weak pull towards the prior's proportions decides where the data does not.
* Some steps take ten times as long for reasons of the machine. Residuals are relative to the
  prediction, and Huber's weights keep what lies far outside from steering the fit.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WINDOW = 256
"""Samples kept of each kind of step, when nobody says otherwise."""
REFIT_EVERY = 128
"""Steps between two fits, once the first of them are behind."""
UNBOUNDED = 2**31 - 1
"""What ``max_new_tokens`` returns when prompt tokens are believed to cost nothing."""

_FIRST_FITS = (2, 4, 8, 16, 32, 64)
_PRIOR_SAMPLES = 0.5
_HUBER_K = 1.345
_LEAST_SPREAD = 0.01
_ERROR_MEMORY = 0.02
_LEAST_NORM = 1e-30
_SUPPORTS = [
    np.array(columns, dtype=np.intp)
    for size in (4, 3, 2, 1)
    for columns in itertools.combinations(range(4), size)
]


class StepShape(NamedTuple):
    """What there is to compute in a step.

    Attributes:
        num_seqs: Rows that decode one token.
        num_new_tokens: Prompt tokens, of all chunks together.
        num_kv_tokens: KV tokens that all rows and chunks read; the sum of their context lengths.
    """

    num_seqs: int
    num_new_tokens: int
    num_kv_tokens: int


EMPTY_SHAPE = StepShape(0, 0, 0)


class Coefficients(NamedTuple):
    """Seconds per unit; none is negative.

    Attributes:
        base_s: Per step, whatever is in it.
        per_seq_s: Per row that decodes.
        per_new_token_s: Per prompt token.
        per_kv_token_s: Per KV token read.
    """

    base_s: float
    per_seq_s: float
    per_new_token_s: float
    per_kv_token_s: float


DEFAULT_PRIOR = Coefficients(2e-3, 1e-4, 1e-4, 2e-8)
"""A small model on a few cores; only its proportions outlive the first samples."""


class StepCostModel:
    """Predicts steps, and learns from each that has been measured.

    Args:
        prior: What to believe before anything was measured: from a profile, or a preset.
        window: Samples kept of each kind of step; more for a fit once everything was measured.
    """

    def __init__(self, prior: Coefficients = DEFAULT_PRIOR, *, window: int = WINDOW) -> None:
        self._prior = np.array(_checked(prior))
        self._coefficients = prior
        self._window = window
        self._shapes = np.zeros((2, window, 4))
        self._seconds = np.zeros((2, window))
        self._counts = [0, 0]
        self._num_observed = 0
        self._refit_at = _FIRST_FITS[0]
        self._relative_error: float | None = None

    @classmethod
    def from_coefficients(
        cls, base_s: float, per_seq_s: float, per_new_token_s: float, per_kv_token_s: float
    ) -> StepCostModel:
        """Return a model that predicts with these until it has observed something.

        Raises:
            ValueError: One of them is negative or not finite.
        """
        return cls(Coefficients(base_s, per_seq_s, per_new_token_s, per_kv_token_s))

    @property
    def coefficients(self) -> Coefficients:
        """What predictions are made of now."""
        return self._coefficients

    @property
    def num_observed(self) -> int:
        """Steps that were taken in."""
        return self._num_observed

    @property
    def relative_error(self) -> float:
        """Running mean of ``|predicted - measured| / measured``, each step predicted unseen.

        Infinite until the first step was measured.
        """
        return math.inf if self._relative_error is None else self._relative_error

    def predict(self, shape: StepShape) -> float:
        """Return the seconds that a step of this shape should take."""
        base_s, per_seq_s, per_new_token_s, per_kv_token_s = self._coefficients
        num_seqs, num_new_tokens, num_kv_tokens = shape
        return (
            base_s
            + per_seq_s * num_seqs
            + per_new_token_s * num_new_tokens
            + per_kv_token_s * num_kv_tokens
        )

    def max_new_tokens(self, num_seqs: int, num_kv_tokens: int, budget_s: float) -> int:
        """Return how many prompt tokens fit beside these rows: the inverse of ``predict``.

        Args:
            num_seqs: Rows that decode.
            num_kv_tokens: What rows and chunks will read.
            budget_s: What the step may take.

        Returns:
            The largest count whose prediction is within the budget; 0 when not even one is.
        """
        spare = budget_s - self.predict(StepShape(num_seqs, 0, num_kv_tokens))
        if spare < 0:
            return 0
        per_token = self._coefficients.per_new_token_s
        if spare >= per_token * UNBOUNDED:
            return UNBOUNDED
        count = int(spare / per_token)
        # Rounding of floats may put the quotient one off on either side.
        if self.predict(StepShape(num_seqs, count, num_kv_tokens)) > budget_s:
            return max(count - 1, 0)
        if self.predict(StepShape(num_seqs, count + 1, num_kv_tokens)) <= budget_s:
            return count + 1
        return count

    def observe(self, shape: StepShape, seconds: float) -> None:
        """Learn from a step. Times that are no positive number are passed over."""
        if not 0.0 < seconds < math.inf:
            return
        error = abs(self.predict(shape) - seconds) / seconds
        running = self._relative_error
        self._relative_error = (
            error if running is None else running + _ERROR_MEMORY * (min(error, 1.0) - running)
        )
        kind = 1 if shape.num_new_tokens else 0
        place = self._counts[kind] % self._window
        self._shapes[kind, place] = (1.0, *shape)
        self._seconds[kind, place] = seconds
        self._counts[kind] += 1
        self._num_observed += 1
        if self._num_observed >= self._refit_at:
            self._refit()
            self._refit_at = next(
                (count for count in _FIRST_FITS if count > self._num_observed),
                self._num_observed + REFIT_EVERY,
            )

    def _refit(self) -> None:
        kept = [min(count, self._window) for count in self._counts]
        shapes = np.concatenate([self._shapes[kind, :n] for kind, n in enumerate(kept)])
        seconds = np.concatenate([self._seconds[kind, :n] for kind, n in enumerate(kept)])
        # Of the prior only the proportions count: on a machine a hundred times as fast, its pull
        # would otherwise bend coefficients that the data determines.
        prior = self._prior
        predicted = shapes @ prior
        if (predicted > 0).all():
            prior = prior * float(np.median(seconds / predicted))
        # A time far below the others, measured by mistake, must not get all the weight.
        yardstick = np.maximum(seconds, 0.25 * float(np.median(seconds)))
        fitted = _fit(shapes / yardstick[:, None], seconds / yardstick, prior)
        for _ in range(2):
            yardstick = np.maximum(shapes @ fitted, _LEAST_NORM)
            residuals = np.abs(seconds / yardstick - 1.0)
            spread = max(1.4826 * float(np.median(residuals)), _LEAST_SPREAD)
            trust = np.sqrt(np.minimum(1.0, _HUBER_K * spread / np.maximum(residuals, 1e-12)))
            scale = trust / yardstick
            fitted = _fit(shapes * scale[:, None], seconds * scale, prior)
        if np.isfinite(fitted).all():
            self._coefficients = Coefficients(*fitted.tolist())


def _fit(
    rows: NDArray[np.float64], targets: NDArray[np.float64], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Least squares with non-negative coefficients and a weak pull towards ``prior``.

    Columns are brought to one length first, so that the pull means the same for all of them; a
    column of zeros keeps the prior's coefficient. The optimum of so small a problem is found by
    trying which coefficients are zero until the conditions of Karush, Kuhn and Tucker hold.
    """
    norms = np.sqrt((rows * rows).mean(axis=0))
    norms[norms < _LEAST_NORM] = 1.0
    scaled = rows / norms
    gram = scaled.T @ scaled
    gram[np.diag_indices(4)] += _PRIOR_SAMPLES
    right = scaled.T @ targets + _PRIOR_SAMPLES * (prior * norms)
    for support in _SUPPORTS:
        solution = np.zeros(4)
        solution[support] = np.linalg.solve(gram[np.ix_(support, support)], right[support])
        if solution.min() < 0.0:
            continue
        slope = gram @ solution - right
        slope[support] = 0.0
        if slope.min() >= -1e-9 * len(targets):
            coefficients: NDArray[np.float64] = solution / norms
            return coefficients
    return np.zeros(4)


def _checked(coefficients: Coefficients) -> Coefficients:
    for name, value in zip(Coefficients._fields, coefficients, strict=True):
        if not 0.0 <= value < math.inf:
            raise ValueError(f"{name} is {value!r}; it must be a number from 0 on")
    return coefficients
