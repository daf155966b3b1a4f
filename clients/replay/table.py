"""The report on the console: runs side by side, one line per figure, in groups.

A line that no run could measure is left out: the preemptions of a foreign server are unknown, and
unknown is not 0.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from clients.replay.figures.distribution import Distribution
from clients.replay.metrics import Figures
from clients.replay.records import RunRecord

MISSING = "–"
"""What a cell says where nothing was measured."""

_UNBOUNDED = 100_000
_NAME_WIDTH = 18
"""Of a run's name on the console, before it goes on in the next line."""

Cell = Callable[[Figures], str]


@dataclass(frozen=True, slots=True)
class Group:
    """Lines that answer one question.

    Attributes:
        title: What they are about.
        lines: The name of each, with its unit, and one cell per run.
    """

    title: str
    lines: list[tuple[str, list[str]]]


def milliseconds(seconds: float) -> str:
    """Return a time as a reader wants it: three figures or so."""
    return _ms(1e3 * seconds)


def percent(share: float) -> str:
    """Return a share of 1 in percent."""
    return f"{100 * share:.1f} %" if math.isfinite(share) else MISSING


def _ms(value: float) -> str:
    if not math.isfinite(value):
        return MISSING
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


def _number(value: float, digits: int = 0) -> str:
    return f"{value:,.{digits}f}" if math.isfinite(value) else MISSING


def _spread(found: Distribution, *percents: float, seconds: bool = True) -> str:
    """Several percentiles in milliseconds; ``math.inf`` stands for the highest value."""
    if not found.count:
        return MISSING
    factor = 1e3 if seconds else 1.0
    values = [found.highest if math.isinf(p) else found.at(p) for p in percents]
    return " / ".join(_ms(factor * value) for value in values)


def _unless(missing: bool, text: str) -> str:
    return MISSING if missing else text


def _ends_differ(f: Figures) -> bool:
    """Whether completed replies are not all there are, so that they need lines of their own."""
    return 0 < f.num_completed < f.num_requests


def _errors(f: Figures) -> str:
    return ", ".join(f"{code} {count}" for code, count in sorted(f.errors.items())) or MISSING


GROUPS: dict[str, list[tuple[str, Cell]]] = {
    "Replies": [
        (
            "replies / aborted / errors",
            lambda f: f"{f.num_completed} / {f.num_aborted} / {f.num_errors}",
        ),
        ("errors by code", _errors),
        ("never ended", lambda f: _unless(not f.num_unfinished, f"{f.num_unfinished:,}")),
        (
            "offered, requests/s",
            lambda f: MISSING if f.offered_per_s is None else _number(f.offered_per_s, 2),
        ),
        ("completed, replies/s", lambda f: _number(f.requests_per_s, 2)),
        ("peak concurrency", lambda f: f"{f.peak_concurrency:,}"),
        ("send lag p50 / p99 / max ms", lambda f: _spread(f.lag_s, 50, 99, math.inf)),
    ],
    "Waiting": [
        ("TTFT p50 ms", lambda f: _spread(f.ttft_s, 50)),
        ("TTFT p90 ms", lambda f: _spread(f.ttft_s, 90)),
        ("TTFT p95 ms", lambda f: _spread(f.ttft_s, 95)),
        ("TTFT p99 ms", lambda f: _spread(f.ttft_s, 99)),
        ("TTFT p99.9 ms", lambda f: _spread(f.ttft_s, 99.9)),
        ("TTFT mean ± std ms", lambda f: _mean(f.ttft_s)),
        ("second token (TTST) p50 / p99 ms", lambda f: _spread(f.ttst_s, 50, 99)),
        ("first segment p50 / p99 ms", lambda f: _spread(f.first_segment_s, 50, 99)),
        ("longest wait s", lambda f: _number(f.longest_wait_s, 2)),
    ],
    "Flow": [
        ("ITL p50 ms", lambda f: _spread(f.itl_s, 50)),
        ("ITL p95 ms", lambda f: _spread(f.itl_s, 95)),
        ("ITL p99 ms", lambda f: _spread(f.itl_s, 99)),
        ("TPOT p50 ms", lambda f: _spread(f.tpot_s, 50)),
        ("TPOT p99 ms", lambda f: _spread(f.tpot_s, 99)),
        ("NTPOT p50 / p99 ms", lambda f: _spread(f.ntpot_s, 50, 99)),
        ("end to end p50 ms", lambda f: _spread(f.e2e_s, 50)),
        ("end to end p99 ms", lambda f: _spread(f.e2e_s, 99)),
    ],
    "Completed replies alone": [
        (
            "completed: TTFT p50 / p99 ms",
            lambda f: _unless(not _ends_differ(f), _spread(f.completed.ttft_s, 50, 99)),
        ),
        (
            "completed: ITL p50 / p99 ms",
            lambda f: _unless(not _ends_differ(f), _spread(f.completed.itl_s, 50, 99)),
        ),
        (
            "completed: TPOT p50 / p99 ms",
            lambda f: _unless(not _ends_differ(f), _spread(f.completed.tpot_s, 50, 99)),
        ),
        (
            "completed: tokens/s",
            lambda f: _unless(not _ends_differ(f), _number(f.completed.tokens_per_s)),
        ),
    ],
    "Throughput": [
        ("tokens/s", lambda f: _number(f.tokens_per_s)),
        ("peak tokens/s", lambda f: _number(f.peak_tokens_per_s)),
        ("effective tokens/s (TokenFlow)", lambda f: _number(f.effective_tokens_per_s)),
        ("goodput, replies/s", lambda f: _number(f.goodput_per_s, 2)),
        ("goodput, share", lambda f: percent(f.goodput_share)),
        ("goodput, tokens/s", lambda f: _number(f.goodput_tokens_per_s)),
    ],
    "Listening": [
        (
            "QoE (Andes), mean / p10",
            lambda f: _unless(math.isnan(f.qoe), f"{f.qoe:.3f} / {f.qoe_p10:.3f}"),
        ),
        ("underruns", lambda f: f"{f.own_speed.underruns:,}"),
        ("underrun seconds", lambda f: _number(f.own_speed.underrun_s, 1)),
        ("… ms per minute", lambda f: _number(f.own_speed.underrun_ms_per_minute, 1)),
        ("… reading, ms per minute", lambda f: _number(f.reading.underrun_ms_per_minute, 1)),
        ("… speech, ms per minute", lambda f: _number(f.speech.underrun_ms_per_minute, 1)),
    ],
    "Interruptions": [
        ("interruptions", lambda f: _unless(not f.cancel.count, f"{f.cancel.count:,}")),
        ("cancel to end p50 / p99 ms", lambda f: _spread(f.cancel.acked_s, 50, 99)),
        ("cancel to last token p50 / p99 ms", lambda f: _spread(f.cancel.last_token_s, 50, 99)),
        (
            "cancel: tokens under way / after",
            lambda f: _unless(
                not f.cancel.count, f"{f.cancel.tokens_under_way:,} / {f.cancel.tokens_after:,}"
            ),
        ),
        (
            "cancel: engine steps at most",
            lambda f: MISSING if f.cancel.steps_max is None else f"{f.cancel.steps_max:,}",
        ),
    ],
    "Wire": [
        ("resumed connections", lambda f: MISSING if f.wire is None else f"{f.wire.resumes:,}"),
        (
            "events missing / doubled",
            lambda f: MISSING if f.wire is None else f"{f.wire.gaps:,} / {f.wire.duplicates:,}",
        ),
        (
            "replies whose text differs",
            lambda f: MISSING if f.wire is None else f"{f.wire.text_differs:,}",
        ),
    ],
    "Engine": [
        ("prompt tokens cached", lambda f: percent(f.cached_share)),
        (
            "preemptions",
            lambda f: MISSING if f.num_preemptions is None else f"{f.num_preemptions:,}",
        ),
        ("preemption waste", lambda f: percent(f.preemption_waste)),
        (
            "fairness between tenants (Jain)",
            lambda f: _unless(f.num_tenants < 2, f"{f.fairness:.3f}"),
        ),
    ],
}
"""All figures that have a fixed name; what a server tells of itself is added per report."""

LINES: list[tuple[str, Cell]] = [line for lines in GROUPS.values() for line in lines]
"""The same without groups."""


def groups(measured: Sequence[Figures]) -> list[Group]:
    """Return all lines that at least one of the runs could measure, in their groups."""
    lines = [(title, list(named)) for title, named in GROUPS.items()]
    lines.append(("Server's own clock", _server_lines(measured)))
    found = [
        Group(title, [(name, [cell(f) for f in measured]) for name, cell in named])
        for title, named in lines
    ]
    kept = [Group(g.title, [line for line in g.lines if set(line[1]) != {MISSING}]) for g in found]
    return [group for group in kept if group.lines]


class SideBySide:
    """A table with a column for each run and a section for each group.

    Where the columns do not fit a console beside each other, more tables follow below.
    """

    def __init__(self, runs: Sequence[tuple[RunRecord, Figures]], title: str = "") -> None:
        self._runs = runs
        self._title = title

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw."""
        unbounded = options.update(width=_UNBOUNDED)
        begin = 0
        while begin < len(self._runs):
            end = begin + 1
            table = self._table(begin, end)
            while end < len(self._runs):
                wider = self._table(begin, end + 1)
                if Measurement.get(console, unbounded, wider).maximum > options.max_width:
                    break
                table, end = wider, end + 1
            yield table
            begin = end

    def _table(self, begin: int, end: int) -> Table:
        table = Table(title=self._title or None, box=box.SIMPLE_HEAD)
        table.add_column("", no_wrap=True)
        for run, _ in self._runs[begin:end]:
            name = textwrap.fill(run.name, _NAME_WIDTH)
            table.add_column(escape(name), justify="right", no_wrap=True)
        for group in groups([figures for _, figures in self._runs]):
            table.add_row(f"[bold]{group.title}[/bold]")
            for name, cells in group.lines:
                table.add_row(f"  {escape(name)}", *(escape(one) for one in cells[begin:end]))
        return table


def markdown(runs: Sequence[tuple[RunRecord, Figures]], names: Sequence[str] | None = None) -> str:
    """Return the same table for a page of documentation.

    Args:
        runs: The columns.
        names: Which lines, whether measured or not; all that were measured when left out.
    """
    measured = [figures for _, figures in runs]
    if names is None:
        lines = [line for group in groups(measured) for line in group.lines]
    else:
        lines = [(name, [cell(f) for f in measured]) for name, cell in LINES if name in names]
    head = "| | " + " | ".join(run.name for run, _ in runs) + " |"
    rule = "| --- |" + " ---: |" * len(runs)
    return "\n".join([head, rule, *("| " + " | ".join([n, *cells]) + " |" for n, cells in lines)])


def _mean(found: Distribution) -> str:
    if not found.count:
        return MISSING
    return f"{milliseconds(found.mean)} ± {milliseconds(found.std)}"


def _server_lines(measured: Sequence[Figures]) -> list[tuple[str, Cell]]:
    """Lines for whatever timings the targets told of themselves, and for what the way added."""
    told = dict.fromkeys(name for f in measured for name in f.server_ms)
    added = dict.fromkeys(name for f in measured for name in f.overhead_ms)
    return [(f"server: {name} p50 / p99 ms", _server_cell(name)) for name in told] + [
        (f"client − server: {name} p50 / p99 ms", _overhead_cell(name)) for name in added
    ]


def _server_cell(name: str) -> Cell:
    return lambda f: _spread(f.server_ms.get(name, Distribution()), 50, 99, seconds=False)


def _overhead_cell(name: str) -> Cell:
    return lambda f: _spread(f.overhead_ms.get(name, Distribution()), 50, 99, seconds=False)
