"""What was found so far, in one file that is rewritten after each measurement.

A run that is cut short keeps what it has, and the next goes on from there. Nothing here needs more
than the standard library.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SHOWN = 400

Row = dict[str, Any]
"""Figures of one measurement, by name."""


class NotHere(Exception):
    """Something cannot be measured here; the message says why, and what would change that."""


class Results:
    """The file.

    Args:
        path: Made with its folder if it is not there.

    Attributes:
        found: Everything, as it is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, Any] = {"device": "", "about": {}, "parts": {}}
        if path.is_file():
            self.found = json.loads(path.read_text(encoding="utf-8"))

    def part(self, name: str) -> dict[str, Any]:
        """Return a part's record; an empty one if it was never begun."""
        return dict(self.found["parts"].get(name, {}))

    def record(self, name: str) -> dict[str, Any]:
        """Return a part's record to be changed, an empty one if there was none; see `Part`."""
        empty: dict[str, Any] = {
            "complete": False,
            "seconds": 0.0,
            "rows": {},
            "skipped": {},
            "failed": {},
            "left": [],
        }
        record: dict[str, Any] = self.found["parts"].setdefault(name, empty)
        return record

    def rows(self, name: str) -> dict[str, Row]:
        """Return what a part has measured, by what was measured."""
        return dict(self.part(name).get("rows", {}))

    def is_complete(self, name: str) -> bool:
        """Whether nothing of a part is left to measure."""
        return bool(self.part(name).get("complete"))

    def note(self, **facts: Any) -> None:
        """Set facts that belong to no part, such as ``device``."""
        self.found.update(facts)
        self.save()

    def save(self) -> None:
        """Write the file in one go, so that nobody ever finds half of it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(self.found, indent=1), encoding="utf-8")
        os.replace(beside, self.path)


class Part:
    """One part while it is measured.

    Each thing that is to be measured has a name. It ends as a row, as skipped (it cannot be
    measured here), as failed, or as left (there was no time); what was left or has failed is tried
    again by the next run.

    Args:
        results: Where its record goes.
        name: Of the part.
        seconds: How long it may take.
        again: Whether what is there already is measured anew.
    """

    def __init__(self, results: Results, name: str, seconds: float, *, again: bool = False) -> None:
        self._results, self._name = results, name
        self._started = time.monotonic()
        self._deadline = self._started + seconds
        self._before_s = 0.0 if again else float(results.part(name).get("seconds", 0.0))
        rows = {} if again else results.rows(name)
        results.found["parts"].pop(name, None)
        self._record = results.record(name)
        self._record["rows"] = rows
        self._save()

    @property
    def seconds_left(self) -> float:
        """Until it should end."""
        return self._deadline - time.monotonic()

    @property
    def has_failed(self) -> bool:
        """Whether something went wrong."""
        return bool(self._record["failed"])

    def has(self, name: str) -> bool:
        """Whether this was measured before."""
        return name in self._record["rows"]

    def beside(self, suffix: str) -> Path:
        """Return a file of this part next to the results."""
        return self._results.path.with_name(f"{self._name}{suffix}")

    def rows_of(self, part: str) -> dict[str, Row]:
        """Return what another part has measured."""
        return self._results.rows(part)

    def wants(self, name: str, *, seconds: float = 0.0) -> bool:
        """Whether this is still to be measured, and there is time for it.

        Args:
            name: Of what is to be measured.
            seconds: That it takes at most; noted as left where there are not so many.
        """
        if self.has(name):
            return False
        if self.seconds_left > seconds:
            return True
        self.leave(name)
        return False

    def add(self, name: str, **figures: Any) -> None:
        """Keep what was measured, and print it."""
        self._record["rows"][name] = figures
        print(f"  {name}: {shown(figures)}", flush=True)
        self._save()

    def skip(self, name: str, reason: str) -> None:
        """Note that this cannot be measured here."""
        self._record["skipped"][name] = reason
        print(f"  {name}: skipped, {reason}", flush=True)
        self._save()

    def fail(self, name: str, reason: str) -> None:
        """Note that this went wrong."""
        self._record["failed"][name] = reason
        print(f"  {name}: FAILED, {reason}", flush=True)
        self._save()

    def leave(self, name: str) -> None:
        """Note that there is no time for this."""
        self._record["left"].append(name)
        print(f"  {name}: left for want of time", flush=True)
        self._save()

    @contextlib.contextmanager
    def measuring(self, name: str) -> Iterator[None]:
        """Note what goes wrong in the block under a name, and go on with the next measurement."""
        try:
            yield
        except NotHere as reason:
            self.skip(name, str(reason))
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            self.fail(name, f"{type(error).__name__}: {_end_of(str(error))}")

    def finish(self) -> None:
        """Note that the part has come to its end."""
        self._record["complete"] = not (self._record["failed"] or self._record["left"])
        self._save()

    def _save(self) -> None:
        taken_s = time.monotonic() - self._started
        self._record["seconds"] = round(self._before_s + taken_s, 1)
        self._results.save()


def _end_of(text: str) -> str:
    """Return the end of what a process said, which is where it says why."""
    text = text.strip()
    return text if len(text) <= _SHOWN else f"… {text[-_SHOWN:]}"


def shown(figures: Row) -> str:
    """Return figures as people read them, or as many of them as fit a few lines."""

    def one(value: object) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    text = ", ".join(f"{name} {one(value)}" for name, value in figures.items())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"
