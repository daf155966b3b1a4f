"""Throws damaged input at everything that reads what strangers send.

    python -m tools.fuzz [--target codec|cards|ipc|http|handshake|all] [--seconds N] [--seed N]

Each execution makes one input from the seed and its own number, so that any of them can be had
again, and has it read in this process. It must be taken or refused with a documented error, within
bounded processor time; anything else is a finding: the input is saved beside its traceback, and the
exit code is 1. Printed are executions, what became of them, the slowest, and how memory grew.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import logging
import random
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tools.fuzzing.targets import TARGETS, Target

MAX_INPUT_BYTES = 256 * 1024
"""What a message may have; more never comes as far as what is fuzzed here."""

MOST_CPU_S = 1.0
"""Processor time for one input; a few kilobytes each, they take about a millisecond."""

_KEPT_FINDINGS = 100


@dataclass(slots=True)
class Finding:
    """One input that was neither taken nor refused as it should be.

    Attributes:
        number: Of the execution.
        data: The input.
        what: The exception, or how long it took.
        where: The traceback.
    """

    number: int
    data: bytes
    what: str
    where: str = ""


@dataclass(slots=True)
class Report:
    """How a target fared.

    Attributes:
        target: Its name.
        executions: Inputs that were read.
        outcomes: What became of them, and how often.
        findings: The first of each kind.
        num_findings: All of them.
        slowest_ms: Processor time of one.
        grown_mib: Of the process's largest size.
    """

    target: str
    executions: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: dict[str, Finding] = field(default_factory=dict)
    num_findings: int = 0
    slowest_ms: float = 0.0
    grown_mib: float = 0.0


def make_input(target: Target, name: str, seed: int, number: int) -> bytes:
    """The input of one execution, always the same for the same seed."""
    return target.make(random.Random(f"{name}-{seed}-{number}"))[:MAX_INPUT_BYTES]


def execute(target: Target, report: Report, seed: int, number: int) -> None:
    """Make one input, have it read, and note what became of it."""
    data = make_input(target, report.target, seed, number)
    report.executions += 1
    started = time.thread_time()
    try:
        report.outcomes[target.read(data)] += 1
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}"
        _note(report, Finding(number, data, what, traceback.format_exc()))
    took = time.thread_time() - started
    report.slowest_ms = max(report.slowest_ms, took * 1000)
    if took > MOST_CPU_S:
        _note(report, Finding(number, data, f"took more than {MOST_CPU_S:g} s"))


def _note(report: Report, finding: Finding) -> None:
    report.num_findings += 1
    if len(report.findings) < _KEPT_FINDINGS:
        report.findings.setdefault(finding.what, finding)


def fuzz(
    name: str, *, seed: int, executions: int | None = None, seconds: float = 0.0, bar: bool = False
) -> Report:
    """Fuzz one target for so many executions, or so long.

    Args:
        name: Of the target.
        seed: Decides every input.
        executions: How many; ``None`` for as many as fit into ``seconds``.
        seconds: How long, where no number is given.
        bar: Whether progress is shown on the terminal.
    """
    target, report = TARGETS[name](), Report(name)
    before = _peak_mib()
    started = time.monotonic()
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()),
        TextColumn("{task.fields[executions]} executions, {task.fields[findings]} findings"),
    )
    shown = Progress(*columns, disable=not bar, console=Console(stderr=True))
    with contextlib.closing(target), shown as progress:
        total = seconds if executions is None else executions
        task = progress.add_task(name, total=total, executions=0, findings=0)
        number = 0
        while time.monotonic() - started < seconds if executions is None else number < executions:
            execute(target, report, seed, number)
            number += 1
            if number % 50 == 0:
                progress.update(
                    task,
                    completed=number if executions else time.monotonic() - started,
                    executions=number,
                    findings=report.num_findings,
                )
    report.grown_mib = _peak_mib() - before
    return report


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def save(report: Report, folder: Path) -> None:
    """Write each finding's input and traceback."""
    folder.mkdir(parents=True, exist_ok=True)
    for finding in report.findings.values():
        name = f"{report.target}-{hashlib.sha256(finding.data).hexdigest()[:12]}"
        (folder / f"{name}.bin").write_bytes(finding.data)
        words = f"execution {finding.number}: {finding.what}\n{finding.where}"
        (folder / f"{name}.txt").write_text(words, encoding="utf-8", errors="backslashreplace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tools.fuzz")
    parser.add_argument("--target", choices=[*TARGETS, "all"], default="all")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, default=Path("fuzz-findings"), help="for findings")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    names = list(TARGETS) if options.target == "all" else [options.target]
    table = Table("target", "executions", "findings", "slowest ms", "grown MiB", "outcomes")
    reports = []
    for name in names:
        report = fuzz(name, seed=options.seed, seconds=options.seconds, bar=True)
        reports.append(report)
        common = ", ".join(f"{what} {number}" for what, number in report.outcomes.most_common(6))
        table.add_row(
            *(name, str(report.executions), str(report.num_findings)),
            *(f"{report.slowest_ms:.1f}", f"{report.grown_mib:.0f}", common),
        )
        if report.findings:
            save(report, options.save)
    Console().print(table)
    for report in reports:
        for finding in report.findings.values():
            print(f"{report.target} {finding.number}: {finding.what}")
    return 1 if any(report.findings for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
