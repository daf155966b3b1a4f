"""Records the live feed of an engine's steps while something else talks to the server."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import math
import threading
import time
from pathlib import Path
from typing import Any

from clients.access import Access
from clients.python.errors import ClientError
from clients.replay.records import StepRecord

_TIMEOUT_S = 10.0


class EngineTrace:
    """Reads ``/v1/engine/live`` in a thread.

    Args:
        access: To the server; the feed is on the same port.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._offset_s = math.inf  # from the server's clock to ours
        self._num_blocks = 0
        self._steps: list[dict[str, Any]] = []
        self._problem: str | None = None
        self._stopping = threading.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._read, name="kaiwa-trace", daemon=True)

    async def start(self) -> None:
        """Begin to read; returns once the feed is open.

        Raises:
            ClientError: The server does not send it.
        """
        self._thread.start()
        is_open = await asyncio.to_thread(self._started.wait, _TIMEOUT_S)
        if self._problem is not None:
            raise ClientError(f"no trace of the engine: {self._problem}")
        if not is_open:
            raise ClientError(f"no trace of the engine: no answer within {_TIMEOUT_S:g} s")

    async def finish(self) -> None:
        """Stop; the last steps are waited for."""
        await asyncio.sleep(0.3)  # the feed sends them within a tenth of a second
        self._stopping.set()
        await asyncio.to_thread(self._thread.join, _TIMEOUT_S)

    def write(self, path: Path) -> str:
        """Write one step per line, and return a few lines worth looking at."""
        lines = "".join(json.dumps(step) + "\n" for step in self._steps)
        path.write_text(lines, encoding="utf-8")
        told = [f"{len(self._steps)} steps in {path}"]
        if self._problem is not None:
            told.append(f"the trace broke off: {self._problem}")
        return "\n".join([*told, excerpt(self._steps)])

    def records(self, began_at: float) -> list[StepRecord]:
        """Return the steps for a report.

        Args:
            began_at: The run's second 0, on this machine's monotonic clock. The server's clock is
                set against it by the message of its feed that took the least time.
        """
        return [
            StepRecord(
                time_s=step["t"] + self._offset_s - began_at,
                duration_s=step["ms"] / 1e3,
                num_running=step["running"],
                num_waiting=step["waiting"],
                prefill_tokens=step["prefill_tokens"],
                decode_tokens=step["decode_tokens"],
                kv_used=step["kv_blocks_used"],
                kv_cached=step["kv_blocks_cached"],
                kv_total=self._num_blocks,
                num_preempted=step["preempted"],
            )
            for step in self._steps
        ]

    def _read(self) -> None:
        try:
            with self._access.get("/v1/engine/live", _TIMEOUT_S) as feed:
                for line in feed:
                    self._started.set()
                    if line.startswith(b"data:"):
                        self._take(json.loads(line[5:]))
                    if self._stopping.is_set():
                        return
            self._problem = "the server ended it"
        except ClientError as error:
            self._problem = error.message
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            self._problem = str(error) or type(error).__name__
        finally:
            self._started.set()

    def _take(self, told: dict[str, Any]) -> None:
        self._offset_s = min(self._offset_s, time.monotonic() - told["t"])
        self._num_blocks = told["kv_blocks_total"]
        self._steps += told["steps"]


def excerpt(steps: list[dict[str, Any]]) -> str:
    """Show where somebody joins and somebody else leaves while others decode.

    In one step if there is such a step, and the busiest of them; else in two that follow each
    other: in a full batch a place that is left at the end of a step is taken in the next.
    """
    pairs = [(a, b) for a, b in itertools.pairwise(steps) if b["step"] == a["step"] + 1]
    shared = [step for step in steps if step["joined"] and step["left"] and _others(step)]
    handed = [(a, b) for a, b in pairs if a["left"] and b["joined"] and _others(b)]
    if shared:
        busiest = max(shared, key=_others)
        return f"one step in which some join and others leave:\n{_describe(busiest)}"
    if handed:
        before, after = max(handed, key=lambda pair: _others(pair[1]))
        return (
            "two steps in a row: some leave at the end of the first, others join in the second:\n"
            f"{_describe(before)}\n{_describe(after)}"
        )
    return "nobody joined and left in one step, or in two in a row, while others decoded"


def _others(step: dict[str, Any]) -> int:
    """How many decode in a step and stay."""
    left = set(step["left"])
    return sum(kind == "decode" and name not in left for name, kind, _ in step["batch"])


def _describe(step: dict[str, Any]) -> str:
    batch = " ".join(f"{name}:{kind}+{count}" for name, kind, count in step["batch"])
    return (
        f"step {step['step']}: {step['running']} running, joined {step['joined']}, "
        f"left {step['left']}, {step['kv_blocks_used']} blocks · {batch}"
    )
