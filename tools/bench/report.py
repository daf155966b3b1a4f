"""What a benchmark found: medians over rounds as tables, the raw rows, and a picture."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tools.bench.bars import Bars, draw

NAMES = {
    "kaiwa": "Kaiwa",
    "kaiwa-int8": "Kaiwa, int8",
    "vllm": "vLLM for CPUs",
    "llama.cpp": "llama.cpp server",
    "openvino": "OpenVINO GenAI",
    "openvino-int8": "OpenVINO GenAI, int8",
    "transformers-cb": "transformers continuous batching",
    "generate": "transformers generate(), static batch",
}
COLOURS = {
    "kaiwa": "#e0563b",
    "kaiwa-int8": "#f0a03b",
    "vllm": "#3b7fe0",
    "llama.cpp": "#5aa469",
    "openvino": "#7a5ae0",
    "openvino-int8": "#b39ddb",
    "transformers-cb": "#3b7fe0",
    "generate": "#8a8f98",
}
OTHER_COLOUR = "#64748b"
_OURS = "kaiwa"
_INT8 = "-int8"
_WIDE = 180


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One engine at one concurrency in one round; times in milliseconds."""

    peer: str
    streams: int
    tokens_per_second: float
    ttft_p50_ms: float
    ttft_p99_ms: float
    itl_p50_ms: float
    itl_p99_ms: float
    requests: int
    tokens: int


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured, and under what.

    Attributes:
        command: What can be typed to repeat it.
        machine: What it ran on.
        workload: What was asked.
        rounds: Alternating rounds over the engines.
        rows: What was found.
        floor: By concurrency, the tokens per second that the machine's limits allow.
    """

    command: str
    machine: dict[str, str]
    workload: dict[str, object]
    rounds: int
    rows: list[Row]
    floor: dict[int, float] = {}

    @property
    def peers(self) -> list[str]:
        """In the order in which they were measured."""
        return list(dict.fromkeys(row.peer for row in self.rows))

    @property
    def concurrencies(self) -> list[int]:
        """Rising."""
        return sorted({row.streams for row in self.rows})

    def median(self, peer: str, streams: int, figure: Callable[[Row], float]) -> float:
        """Return a figure's median over the rounds."""
        rows = [row for row in self.rows if (row.peer, row.streams) == (peer, streams)]
        return statistics.median(map(figure, rows))


_FIGURES: list[tuple[str, Callable[[Row], float], str]] = [
    ("tokens/s", lambda row: row.tokens_per_second, "{:.0f}"),
    ("TTFT p50 ms", lambda row: row.ttft_p50_ms, "{:.0f}"),
    ("TTFT p99 ms", lambda row: row.ttft_p99_ms, "{:.0f}"),
    ("ITL p50 ms", lambda row: row.itl_p50_ms, "{:.1f}"),
    ("ITL p99 ms", lambda row: row.itl_p99_ms, "{:.1f}"),
]


def medians(run: Run) -> list[list[str]]:
    """Return a header and one line per concurrency and engine."""
    of_floor = ["of the floor"] if run.floor else []
    lines = [["streams", "engine", *(name for name, _, _ in _FIGURES), *of_floor, "range"]]
    for streams in run.concurrencies:
        for peer in run.peers:
            rates = [
                row.tokens_per_second
                for row in run.rows
                if (row.peer, row.streams) == (peer, streams)
            ]
            line = [str(streams), NAMES.get(peer, peer)]
            line += [form.format(run.median(peer, streams, f)) for _, f, form in _FIGURES]
            if run.floor:
                line.append(f"{statistics.median(rates) / run.floor[streams]:.0%}")
            lines.append([*line, f"{min(rates):.0f}–{max(rates):.0f}"])
    return lines


def ratios(run: Run) -> list[list[str]]:
    """Return a header and, per concurrency, ours over the best of the others; nothing of none.

    Ours in eight bits stands beside the best peer with whole weights and, in a column of its own,
    beside the best one in eight bits.
    """
    ours = [peer for peer in run.peers if peer.startswith(_OURS)]
    others = [peer for peer in run.peers if peer not in ours]
    whole = [peer for peer in others if not peer.endswith(_INT8)] or others
    eight = [peer for peer in others if peer not in whole]
    if not ours or not others:
        return []

    def best_rate(peers: Sequence[str], streams: int) -> float:
        return max(run.median(peer, streams, lambda row: row.tokens_per_second) for peer in peers)

    header = ["streams", "engine", "tokens/s, of the best peer's"]
    header += ["of the best int8 peer's"] * bool(eight)
    lines = [[*header, "TTFT p50", "ITL p99 / ITL p50"]]
    for streams in run.concurrencies:
        best_first = min(run.median(p, streams, lambda r: r.ttft_p50_ms) for p in whole)
        for peer in ours:
            rate = run.median(peer, streams, lambda r: r.tokens_per_second)
            first = run.median(peer, streams, lambda r: r.ttft_p50_ms)
            spread = run.median(peer, streams, lambda r: r.itl_p99_ms / r.itl_p50_ms)
            line = [str(streams), NAMES.get(peer, peer), f"{rate / best_rate(whole, streams):.2f}"]
            if eight:
                in_kind = f"{rate / best_rate(eight, streams):.2f}"
                line.append(in_kind if peer.endswith(_INT8) else "")
            lines.append([*line, f"{first / best_first:.2f}", f"{spread:.2f}"])
    return lines


def write_report(run: Run, path: Path | None) -> None:
    """Print the tables; with a path also write ``.md``, ``.json`` and ``.svg`` beside it."""
    tables = [medians(run), ratios(run)]
    for title, lines in zip(("medians over rounds", "beside the best peer"), tables, strict=True):
        if lines:
            _print(title, lines)
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1))
    path.with_suffix(".svg").write_text(_chart(run), encoding="utf-8")
    machine = ", ".join(f"{key} {value}" for key, value in run.machine.items())
    workload = ", ".join(f"{key} {value}" for key, value in run.workload.items())
    text = [
        f"![tokens per second by streams]({path.with_suffix('.svg').name})",
        *(_markdown(lines) for lines in tables if lines),
        f"Medians over {run.rounds} alternating rounds. Machine: {machine}.",
        f"Workload: {workload}.",
        f"```sh\n{run.command}\n```\n",
    ]
    path.with_suffix(".md").write_text("\n\n".join(text), encoding="utf-8")


def table_console() -> Console:
    """Return a console for wide tables: of the terminal's width, or wide enough for all if none."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDE)


def _print(title: str, lines: Sequence[Sequence[str]]) -> None:
    table = Table(title=title)
    for name in lines[0]:
        table.add_column(name, justify="left" if name == "engine" else "right")
    for line in lines[1:]:
        table.add_row(*line)
    table_console().print(table)


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    rule = [":---" if name == "engine" else "---:" for name in lines[0]]
    return "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], rule, *lines[1:]))


def _chart(run: Run) -> str:
    """Bars of tokens per second: one group per concurrency, one bar per engine."""
    title = "tokens per second by concurrent streams"
    rates = {
        (place, index): run.median(peer, streams, lambda row: row.tokens_per_second)
        for place, streams in enumerate(run.concurrencies)
        for index, peer in enumerate(run.peers)
    }
    bars = Bars(
        title=title,
        groups=[f"{n} stream" + ("s" if n > 1 else "") for n in run.concurrencies],
        series=[NAMES.get(peer, peer) for peer in run.peers],
        values=rates,
        colours=[COLOURS.get(peer, OTHER_COLOUR) for peer in run.peers],
    )
    return draw([bars], title)
