"""Many values as a few numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from clients.replay.figures.distribution import PERCENTS, distribution


def test_all_of_it_is_as_numpy_has_it() -> None:
    """A second implementation agrees."""
    values = [float(value * value % 97) for value in range(1, 60)]
    found = distribution(values)
    for percent in PERCENTS:
        assert found.at(percent) == pytest.approx(float(np.percentile(values, percent)))
    assert found.mean == pytest.approx(float(np.mean(values)))
    assert found.std == pytest.approx(float(np.std(values)))
    assert (found.lowest, found.highest) == (min(values), max(values))


def test_what_was_not_measured_is_no_value() -> None:
    """Two of three."""
    found = distribution([1.0, None, 3.0])
    assert (found.count, found.mean, found.std) == (2, 2.0, 1.0)


def test_nothing_has_no_mean() -> None:
    """Rather than a mean of 0."""
    found = distribution([])
    assert found.count == 0
    assert math.isnan(found.mean)
    assert math.isnan(found.at(99))
