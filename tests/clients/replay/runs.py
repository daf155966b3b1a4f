"""Small runs for the tests of reports."""

from __future__ import annotations

from typing import Any

from clients.replay.metrics import Figures, figures
from clients.replay.records import RequestRecord, RunRecord, StepRecord
from clients.replay.report.words import words

EN = words("en")


def request(session: str = "s", turn: int = 0, sent_s: float = 0.0, **fields: Any) -> RequestRecord:
    """Return a reply of three tokens, the first after half a second."""
    given: dict[str, Any] = {
        "token_times_s": [sent_s + 0.5, sent_s + 0.6, sent_s + 0.9],
        "ended_s": sent_s + 0.9,
        "finish": "stop",
        "prompt_tokens": 10,
    }
    return RequestRecord(
        request_id=f"{session}/{turn}",
        session_id=session,
        turn=turn,
        sent_s=sent_s,
        **(given | fields),
    )


def step(time_s: float = 0.5, **fields: Any) -> StepRecord:
    """Return a step of one prompt."""
    given: dict[str, Any] = {
        "duration_s": 0.1,
        "num_running": 1,
        "num_waiting": 0,
        "prefill_tokens": 10,
        "decode_tokens": 0,
        "kv_used": 1,
        "kv_cached": 0,
        "kv_total": 8,
    }
    return StepRecord(time_s=time_s, **(given | fields))


def run(name: str = "one", **fields: Any) -> RunRecord:
    """Return a run of one request and one step."""
    given: dict[str, Any] = {
        "policy": "fcfs",
        "load": 1.0,
        "requests": [request()],
        "steps": [step()],
        "duration_s": 1.0,
    }
    return RunRecord(name=name, **(given | fields))


def measured(name: str = "one", **fields: Any) -> tuple[RunRecord, Figures]:
    """Return such a run and its figures."""
    made = run(name, **fields)
    return made, figures(made)
