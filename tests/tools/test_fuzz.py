"""The fuzzer itself: the same seed makes the same inputs, and what is wrong is found and saved."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tools.fuzz import Report, execute, fuzz, make_input, save
from tools.fuzzing.mutate import damaged, damaged_bytes
from tools.fuzzing.targets import TARGETS, Finding, IpcTarget, Target


class Fragile(Target):
    """Fails on every third input."""

    def make(self, rng: random.Random) -> bytes:
        """A number."""
        return str(rng.randrange(1000)).encode()

    def read(self, data: bytes) -> str:
        """Fail or not."""
        if int(data) % 3 == 0:
            raise Finding("divisible")
        return "taken"


def test_an_execution_can_be_had_again() -> None:
    """By the seed and its number alone."""
    one, other = IpcTarget(), IpcTarget()
    inputs = [make_input(one, "ipc", 3, number) for number in range(50)]
    assert [make_input(other, "ipc", 3, number) for number in reversed(range(50))] == inputs[::-1]
    assert len(set(inputs)) > 40


def test_a_finding_is_counted_kept_once_and_saved(tmp_path: Path) -> None:
    """The input and where it went wrong, for whoever mends it."""
    report = Report("fragile")
    for number in range(60):
        execute(Fragile(), report, 0, number)
    assert report.executions == 60
    assert report.num_findings + report.outcomes["taken"] == 60
    assert report.num_findings > 5
    (finding,) = report.findings.values()
    save(report, tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".bin", ".txt"}
    assert "divisible" in finding.where


def test_damage_leaves_the_original_alone() -> None:
    """And hardly ever gives back what it was given."""
    rng = random.Random(0)
    value = {"a": [1, {"b": "c"}], "d": None}
    before = json.dumps(value)
    changed = [damaged(value, rng, [value]) for _ in range(100)]
    assert json.dumps(value) == before
    assert sum(one != value for one in changed) > 80
    assert sum(damaged_bytes(b"some bytes", rng) != b"some bytes" for _ in range(100)) > 80


@pytest.mark.parametrize("name", ["ipc"])
def test_a_few_inputs_are_read_by_a_real_target(name: str) -> None:
    """As many as the second allows; the rest is for the slow tests."""
    report = fuzz(name, seed=0, executions=40)
    assert name in TARGETS
    assert report.num_findings == 0
