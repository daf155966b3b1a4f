"""The report on the console: runs side by side, one line per figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rich import box
from rich.table import Table

from clients.replay.metrics import Figures
from clients.replay.records import RunRecord

_Cell = Callable[[Figures], str]


def milliseconds(seconds: float) -> str:
    """Return a time as a reader wants it: three figures or so."""
    if not math.isfinite(seconds):
        return "–"
    ms = 1e3 * seconds
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.1f}"


def percent(share: float) -> str:
    """Return a share of 1 in percent."""
    return f"{100 * share:.1f} %"


LINES: list[tuple[str, _Cell]] = [
    (
        "replies / aborted / errors",
        lambda f: f"{f.num_completed} / {f.num_aborted} / {f.num_errors}",
    ),
    ("TTFT p50 ms", lambda f: milliseconds(f.ttft_s.at(50))),
    ("TTFT p90 ms", lambda f: milliseconds(f.ttft_s.at(90))),
    ("TTFT p99 ms", lambda f: milliseconds(f.ttft_s.at(99))),
    ("TTFT p99.9 ms", lambda f: milliseconds(f.ttft_s.at(99.9))),
    ("ITL p50 ms", lambda f: milliseconds(f.itl_s.at(50))),
    ("ITL p99 ms", lambda f: milliseconds(f.itl_s.at(99))),
    ("TPOT p50 ms", lambda f: milliseconds(f.tpot_s.at(50))),
    ("end to end p99 ms", lambda f: milliseconds(f.e2e_s.at(99))),
    ("tokens/s", lambda f: f"{f.tokens_per_s:,.0f}"),
    ("effective tokens/s (TokenFlow)", lambda f: f"{f.effective_tokens_per_s:,.0f}"),
    ("goodput, replies/s", lambda f: f"{f.goodput_per_s:.2f}"),
    ("goodput, share", lambda f: percent(f.goodput_share)),
    ("QoE (Andes), mean / p10", lambda f: f"{f.qoe:.3f} / {f.qoe_p10:.3f}"),
    ("underruns", lambda f: f"{f.own_speed.underruns:,}"),
    ("underrun seconds", lambda f: f"{f.own_speed.underrun_s:,.1f}"),
    ("… ms per minute", lambda f: f"{f.own_speed.underrun_ms_per_minute:,.1f}"),
    ("… reading, ms per minute", lambda f: f"{f.reading.underrun_ms_per_minute:,.1f}"),
    ("… speech, ms per minute", lambda f: f"{f.speech.underrun_ms_per_minute:,.1f}"),
    ("prompt tokens cached", lambda f: percent(f.cached_share)),
    ("preemptions", lambda f: f"{f.num_preemptions:,}"),
    ("preemption waste", lambda f: percent(f.preemption_waste)),
    ("fairness between tenants (Jain)", lambda f: f"{f.fairness:.3f}"),
    ("longest wait s", lambda f: f"{f.longest_wait_s:.2f}"),
    (
        "cancel: steps at most / tokens after",
        lambda f: (
            f"{'–' if f.cancel_steps_max is None else f.cancel_steps_max} / {f.tokens_after_cancel}"
        ),
    ),
]


def side_by_side(runs: Sequence[tuple[RunRecord, Figures]], title: str = "") -> Table:
    """Return a table with a column for each run."""
    table = Table(title=title or None, box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for run, _ in runs:
        table.add_column(run.name, justify="right")
    for name, cell in LINES:
        table.add_row(name, *(cell(figures) for _, figures in runs))
    return table


def markdown(runs: Sequence[tuple[RunRecord, Figures]], names: Sequence[str] | None = None) -> str:
    """Return the same table for a page of documentation.

    Args:
        runs: The columns.
        names: Which lines; all when left out.
    """
    wanted = [line for line in LINES if names is None or line[0] in names]
    head = "| | " + " | ".join(run.name for run, _ in runs) + " |"
    rule = "| --- |" + " ---: |" * len(runs)
    body = ["| " + " | ".join([name, *(cell(f) for _, f in runs)]) + " |" for name, cell in wanted]
    return "\n".join([head, rule, *body])
