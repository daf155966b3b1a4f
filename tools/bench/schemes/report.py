"""Medians over rounds: a table, the raw rows, and one picture of all schemes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from xml.sax.saxutils import escape

import msgspec
from rich.table import Table

from tools.bench.bars import Bars, draw
from tools.bench.lines import Lines, panel
from tools.bench.schemes.figures import Figures

WAYS = {
    "threads": ("threads, one model", "#8a8f98"),
    "pool": ("pool of instances", "#a05bd0"),
    "static": ("static batches", "#d08a1e"),
    "dynamic": ("dynamic batches", "#3b7fe0"),
    "continuous": ("continuous (Kaiwa)", "#e0563b"),
}
"""What each scheme is called, and its colour."""

_COLUMNS = {
    "tokens_per_second": "tokens/s",
    "latency_p50_ms": "latency p50 ms",
    "latency_p99_ms": "latency p99 ms",
    "ttft_p50_ms": "first token p50 ms",
    "ttft_p99_ms": "first token p99 ms",
    "memory_mib": "memory MiB",
}
_WIDTH, _HEIGHT, _LEGEND = 960, 640, 40


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One scheme at one rate in one round."""

    policy: str
    rate: float
    round: int
    figures: Figures


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured, and under what.

    Attributes:
        command: What can be typed to repeat it.
        machine: What it ran on.
        plan: What was asked.
        rounds: Alternating rounds over the schemes.
        rows: What was found.
    """

    command: str
    machine: dict[str, str]
    plan: dict[str, object]
    rounds: int
    rows: list[Row]

    @property
    def policies(self) -> list[str]:
        """In the order in which they were measured."""
        return list(dict.fromkeys(row.policy for row in self.rows))

    @property
    def rates(self) -> list[float]:
        """Rising."""
        return sorted({row.rate for row in self.rows})

    def median(self, policy: str, rate: float, figure: str) -> float:
        """Return a figure's median over the rounds."""
        rows = [row for row in self.rows if (row.policy, row.rate) == (policy, rate)]
        values: list[dict[str, float]] = [{**row.figures} for row in rows]  # type: ignore[dict-item]
        return statistics.median(one[figure] for one in values)


def lines(run: Run) -> list[list[str]]:
    """Return a header and one line per rate and scheme."""
    found = [["requests/s", "scheme", *_COLUMNS.values()]]
    for rate in run.rates:
        for policy in run.policies:
            figures = [f"{run.median(policy, rate, name):,.0f}" for name in _COLUMNS]
            found.append([f"{rate:g}", WAYS[policy][0], *figures])
    return found


def table(run: Run) -> Table:
    """Return the medians as a table for a console."""
    header, *rest = lines(run)
    found = Table(title="medians over rounds")
    for name in header:
        found.add_column(name, justify="left" if name == "scheme" else "right")
    for line in rest:
        found.add_row(*line)
    return found


def picture(run: Run) -> str:
    """Return one figure: throughput and latency by rate, and memory."""
    colours = [WAYS[policy][1] for policy in run.policies]
    rates = [f"{rate:g}" for rate in run.rates]

    def chart(title: str, figure: str, *, is_log: bool) -> Lines:
        values = {
            (series, place): run.median(policy, rate, figure) / (1000 if is_log else 1)
            for series, policy in enumerate(run.policies)
            for place, rate in enumerate(run.rates)
        }
        form = "{:g}".format
        return Lines(title, "requests per second", rates, values, colours, form, is_log)

    charts = [
        chart("tokens per second", "tokens_per_second", is_log=False),
        chart("median latency, seconds", "latency_p50_ms", is_log=True),
        chart("99th percentile of latency, seconds", "latency_p99_ms", is_log=True),
    ]
    width, height = _WIDTH / 2, (_HEIGHT - _LEGEND) / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="12" role="img">',
        "<title>five ways to serve one trace</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        *_legend(run.policies),
    ]
    for number, one in enumerate(charts):
        x, y = number % 2 * width, _LEGEND + number // 2 * height
        parts += [f'<g transform="translate({x:g} {y:g})">', *panel(one, width, height), "</g>"]
    memory = draw([_memory(run)], "memory").removeprefix("<svg ")
    place = f'x="{width:g}" y="{_LEGEND + height:g}" width="{width:g}" height="{height:g}"'
    return "\n".join([*parts, f"<svg {place} {memory}", "</svg>\n"])


def _memory(run: Run) -> Bars:
    most = {
        (0, series): max(run.median(policy, rate, "memory_mib") for rate in run.rates)
        for series, policy in enumerate(run.policies)
    }
    names = [WAYS[policy][0] for policy in run.policies]
    colours = [WAYS[policy][1] for policy in run.policies]
    title = "memory, MiB: growth of the process, most of all rates"
    return Bars(title, [""], names, most, colours, is_titled=True)


def _legend(policies: Sequence[str]) -> list[str]:
    parts = []
    for number, policy in enumerate(policies):
        name, colour = WAYS[policy]
        x = 56 + number * 180
        parts.append(f'<rect x="{x}" y="14" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x + 15}" y="23">{escape(name)}</text>')
    return parts
