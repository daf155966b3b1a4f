"""Numbers on a command line are read strictly, and complaints hold what was given."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from clients.replay.arguments import above_0, at_least_0, positive


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [(positive, "3", 3), (above_0, "0.5", 0.5), (at_least_0, "0", 0.0), (at_least_0, "1e3", 1e3)],
)
def test_a_number_is_read(read: Callable[[str], float], text: str, value: float) -> None:
    """As it is written."""
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (positive, "0"),
        (positive, "1.5"),
        (positive, "²"),
        (above_0, "0"),
        (above_0, "nan"),
        (at_least_0, "-1"),
        (at_least_0, "inf"),
        (at_least_0, ""),
    ],
)
def test_anything_else_is_refused(read: Callable[[str], float], text: str) -> None:
    """In the words of the command line."""
    with pytest.raises(argparse.ArgumentTypeError):
        read(text)
