"""What the engine did, where it told: batch, queue and KV budget over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clients.replay.charts import Line, Picture, plot, thinned
from clients.replay.records import StepRecord
from clients.replay.report.paints import Measured, paints


def engine(measured: Measured, words: Mapping[str, str]) -> list[Picture]:
    """Draw the steps of all runs side by side; nothing where no run has any.

    Args:
        measured: Runs and their figures.
        words: Of ``report.words``.
    """
    if not any(run.steps for run, _ in measured):
        return []
    return [
        _timeline("batch", "sequences", lambda step: step.num_running, measured, words),
        _timeline("queue", "requests", lambda step: step.num_waiting, measured, words),
        _timeline("kv", "of the budget", _kv_percent, measured, words),
    ]


def _timeline(
    about: str,
    unit: str,
    value: Callable[[StepRecord], float],
    measured: Measured,
    words: Mapping[str, str],
) -> Picture:
    lines = [
        Line(
            run.name,
            thinned([(step.time_s, value(step)) for step in run.steps]),
            paint.colour,
            shade=paint.shade,
        )
        for (run, _), paint in zip(measured, paints(measured), strict=True)
    ]
    return plot(words[about], words["s"], words[unit], lines, caption=words[f"{about}.how"])


def _kv_percent(step: StepRecord) -> float:
    return 100.0 * step.kv_used / max(step.kv_total, 1)
