"""Damaged input is taken or refused with a documented error, whoever reads it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tools.fuzz import Report, fuzz
from tools.fuzzing.targets import TARGETS


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Refusals of requests are logged by the thousand."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def findings(report: Report) -> list[str]:
    """What was found, with the number by which it can be had again."""
    return [f"{one.number}: {one.what}\n{one.where}" for one in report.findings.values()]


@pytest.mark.parametrize("name", TARGETS)
def test_a_hundred_inputs_find_nothing(name: str) -> None:
    """Always the same ones: what was found once stays mended."""
    report = fuzz(name, seed=0, executions=100)
    assert findings(report) == []
    assert report.executions == 100
    assert len(report.outcomes) > 1


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_some_thousand_inputs_find_nothing(name: str) -> None:
    """Others than those of the short run."""
    report = fuzz(name, seed=1, executions=1000)
    assert findings(report) == []
    assert report.grown_mib < 200
