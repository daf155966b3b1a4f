"""Runs on disk: written beside a report, and read again to be compared or drawn anew.

``summary.json`` holds what a run is and its figures, ``requests.jsonl`` every request with all of
its times, ``steps.jsonl`` the engine's steps where there were any.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from clients.replay.metrics import Figures, Targets, as_json, figures
from clients.replay.records import RequestRecord, RunRecord, StepRecord, as_rows, fault_of
from clients.replay.script import ScriptError

FORMAT = 2
"""Of ``summary.json``; 1 had no number, no steps and less about each run."""
MAX_FILE_BYTES = 1 << 30
MOST_STEPS = 2_000
"""Of each run that are kept: more than a chart has points; they are taken evenly."""
_ODD = "replace"
"""What UTF-8 cannot say, such as file names of odd bytes in a command, does not cost the report."""

_KEPT = (
    "name",
    "policy",
    "load",
    "target",
    "offered_per_s",
    "invalid",
    "duration_s",
    "computed_tokens",
    "recomputed_tokens",
    "num_preemptions",
    "about",
)
_T = TypeVar("_T")


def write_runs(
    folder: Path,
    measured: Sequence[tuple[RunRecord, Figures]],
    *,
    title: str,
    about: Mapping[str, Any],
    machine: Mapping[str, Any],
    targets: Targets,
) -> None:
    """Write runs into a folder, which is made if need be; earlier files are replaced.

    Args:
        folder: Where.
        measured: Runs and their figures; no two runs have one name.
        title: What they are together.
        about: Seed, command, settings.
        machine: Versions and the machine, of ``surroundings``.
        targets: What figures were measured against.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs = [
        {name: getattr(run, name) for name in _KEPT} | {"figures": as_json(figures)}
        for run, figures in measured
    ]
    summary = {
        "format": FORMAT,
        "title": title,
        "about": dict(about),
        "machine": dict(machine),
        "targets": asdict(targets),
        "runs": runs,
    }
    text = json.dumps(summary, indent=1, allow_nan=False, ensure_ascii=False)
    (folder / "summary.json").write_text(text + "\n", encoding="utf-8", errors=_ODD)
    requests = [(run.name, row) for run, _ in measured for row in as_rows(run.requests)]
    _write_rows(folder / "requests.jsonl", requests)
    steps = [
        (run.name, asdict(step))
        for run, _ in measured
        for step in run.steps[:: 1 + len(run.steps) // MOST_STEPS]
    ]
    if steps:
        _write_rows(folder / "steps.jsonl", steps)
    else:
        (folder / "steps.jsonl").unlink(missing_ok=True)


def read_report(folder: Path) -> list[tuple[RunRecord, Figures]]:
    """Read the runs of a report; their figures are computed anew from their records.

    Args:
        folder: With ``summary.json`` and ``requests.jsonl``. What a later version has added is
            passed over, and what an earlier one did not write has its default.

    Raises:
        ScriptError: It cannot be read; the message names the file and the line.
    """
    file = folder / "summary.json"
    targets = read_targets(folder)
    described = _object(_text(file), str(file)).get("runs")
    if not isinstance(described, list) or not described:
        raise ScriptError(f"{file} names no run; is it the summary of a report?")
    runs: dict[str, RunRecord] = {}
    for fields in described:
        if not isinstance(fields, dict):
            raise ScriptError(f"{file}: a run is an object, not {fields!r:.40}")
        known = {name: fields[name] for name in _KEPT if name in fields}
        known.setdefault("duration_s", _duration_of_figures(fields))
        run = _converted(known | {"requests": []}, RunRecord, str(file))
        if run.name in runs:
            raise ScriptError(f"{file} has two runs of the name {run.name!r}; rename one")
        runs[run.name] = run
    requests = folder / "requests.jsonl"
    for name, record, place in _rows(requests, RequestRecord, runs):
        if fault := fault_of(record):
            raise ScriptError(f"{place}: {fault}")
        runs[name].requests.append(record)
    steps = folder / "steps.jsonl"
    if steps.exists():
        for name, step, _ in _rows(steps, StepRecord, runs):
            runs[name].steps.append(step)
    return [(run, figures(run, targets)) for run in runs.values()]


def read_targets(folder: Path) -> Targets:
    """Read what a report's figures were measured against; what it does not name has its default.

    Raises:
        ScriptError: See ``read_report``.
    """
    file = folder / "summary.json"
    summary = _object(_text(file), str(file))
    return _converted(summary.get("targets", {}), Targets, str(file))


def _rows(
    file: Path, kind: type[_T], runs: Mapping[str, RunRecord]
) -> Iterator[tuple[str, _T, str]]:
    """Yield the run's name, the row, and where it stands."""
    for number, line in enumerate(_text(file).split("\n"), 1):
        if not line.strip():
            continue
        place = f"{file}, line {number}"
        row = _object(line, place)
        name = row.pop("run", None)
        if name not in runs:
            raise ScriptError(f"{place} belongs to the run {name!r:.80}, which the summary lacks")
        yield str(name), _converted(row, kind, place), place


def _write_rows(file: Path, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    with file.open("w", encoding="utf-8", errors=_ODD) as out:
        for name, row in rows:
            text = json.dumps({"run": name, **row}, allow_nan=False, ensure_ascii=False)
            out.write(text + "\n")


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ScriptError(f"{file} is larger than {MAX_FILE_BYTES} bytes")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(f"cannot read {file}: {error}") from None


def _object(text: str, place: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ScriptError(f"{place} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ScriptError(f"{place} is no JSON object")
    return found


def _converted(fields: Any, kind: type[_T], place: str) -> _T:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise ScriptError(f"{place}: {error}") from None


def _duration_of_figures(fields: Mapping[str, Any]) -> Any:
    """Where the first format had it."""
    measured = fields.get("figures")
    return measured.get("duration_s", 0.0) if isinstance(measured, dict) else 0.0
