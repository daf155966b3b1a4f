"""Parts ``correctness`` and ``faults``: the tests that say something new on a card.

``correctness`` runs the kernels' own tests and keeps each one's error against float64. ``faults``
runs the engine's tests of right tokens, of broken requests and of full memory, on the card.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import torch

from tools.gpu.options import Options
from tools.gpu.results import Part, Row

_ROOT = Path(__file__).parents[2]
_ENGINE_TESTS = ["tests/model/test_faults.py", "tests/model/test_same_words.py"]
_PARITY = "tests/model/test_parity.py"
_FEWER = "not batch_mates and (not chunk_size or size[1- or size[16- or size[37-)"
"""Of 38 chunk sizes, those at borders, since each test builds an engine of its own. Whether replies
depend on batch-mates is asked where the engine promises that they do not: of the same words."""
_ONE_TEST_S = 120
_MOST_WORKERS = 6
_PATIENCE_S = 10


@dataclass(frozen=True, slots=True)
class OneTest:
    """What one test said.

    Attributes:
        name: With its parameters, without its folder.
        outcome: ``passed``, ``failed`` or ``skipped``.
        reason: The first line of why not.
        properties: What it recorded, by name.
    """

    name: str
    outcome: str
    reason: str = ""
    properties: dict[str, str] = field(default_factory=dict)


def run_kernels(part: Part, options: Options, device: torch.device) -> None:
    """Run the tests of the kernels."""
    del device
    chosen = ["-k", "gates or norm"] if options.tiny else _workers()
    _run(part, "tests/gpu", ["tests/gpu", *chosen])


def run_engine(part: Part, options: Options, device: torch.device) -> None:
    """Run the tests of the engine, with its model where the kernels are."""
    several = [] if options.tiny else _workers()
    chosen = ["-k", "raises"] if options.tiny else several
    _run(part, "tests/model", [*_ENGINE_TESTS, *chosen], KAIWA_TEST_DEVICE=device.type)
    if not options.tiny and part.wants("every family's words", seconds=20):
        arguments = [_PARITY, "-k", _FEWER, *several]
        _run(part, "every family's words", arguments, KAIWA_TEST_DEVICE=device.type)


def _run(part: Part, name: str, arguments: list[str], **environment: str) -> None:
    """Run pytest in a process of its own and keep what each test says."""
    if part.has(name):
        return
    report = part.beside("-" + re.sub(r"[^a-z]+", "-", name.rpartition("/")[2]) + ".xml")
    folder = Path(arguments[0]).parts[:2]
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, f"--rootdir={_ROOT}", "-q", "-rs"]
    command += ["--import-mode=importlib", "-p", "no:cacheprovider", "-o", "junit_family=xunit1"]
    command += ["-p", "tools.gpu.told_errors"]
    command += ["--disable-warnings", "--timeout", str(_ONE_TEST_S)]
    command += [f"--confcutdir={Path(*folder)}", f"--junitxml={report}", *arguments]
    report.unlink(missing_ok=True)
    is_whole = _wait(
        subprocess.Popen(command, cwd=_ROOT, env={**os.environ, **environment}), part.seconds_left
    )
    if not report.is_file():
        part.fail(name, "pytest wrote no report; see its output")
        return
    tests = read_report(report)
    failed = [test for test in tests if test.outcome == "failed"]
    for test in failed:
        part.fail(test.name, test.reason)
    part.add(name if is_whole and not failed else f"{name}, in part", **summary(tests))
    if not is_whole:
        part.leave(f"the rest of {name}")


def _wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Return whether it ended in time; one that does not is asked to stop and write its report."""
    try:
        process.wait(max(1.0, seconds))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return False
    return True


def read_report(path: Path) -> list[OneTest]:
    """Read what pytest wrote with ``--junitxml``."""
    found = []
    for case in ElementTree.parse(path).iter("testcase"):
        outcome, reason = "passed", ""
        for kind in ("failure", "error", "skipped"):
            element = case.find(kind)
            if element is not None:
                outcome = "skipped" if kind == "skipped" else "failed"
                reason = (element.get("message") or "").splitlines()[0][:200]
        properties = {str(p.get("name")): str(p.get("value")) for p in case.iter("property")}
        room = str(case.get("classname")).rpartition(".")[2]
        found.append(OneTest(f"{room}.{case.get('name')}", outcome, reason, properties))
    return found


def summary(tests: list[OneTest]) -> Row:
    """Return how many came to what, and each kernel's error against float64."""
    counts = Counter(test.outcome for test in tests)
    reasons = Counter(test.reason for test in tests if test.outcome == "skipped")
    errors = {
        test.name: float(test.properties["error"]) for test in tests if "error" in test.properties
    }
    row: Row = {"passed": counts["passed"], "failed": counts["failed"], "skipped": dict(reasons)}
    return row | ({"largest_errors": errors} if errors else {})


def _workers() -> list[str]:
    """Several processes, where pytest-xdist is there: compiling and tiny models are all host."""
    if importlib.util.find_spec("xdist") is None:
        return []
    return ["-n", str(min(_MOST_WORKERS, max(1, (os.cpu_count() or 1) // 2)))]
