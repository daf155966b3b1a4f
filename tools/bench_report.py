"""What a benchmark found: medians over rounds as a table, the raw rows, and a picture."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import msgspec
from rich.console import Console
from rich.table import Table

COLOURS = {
    "kaiwa": "#e0563b",
    "transformers-cb": "#3b7fe0",
    "generate": "#8a8f98",
    "kaiwa-int8": "#f0a03b",
    "vllm": "#3b7fe0",
    "llama.cpp": "#5aa469",
}
NAMES = {
    "kaiwa": "Kaiwa",
    "transformers-cb": "transformers continuous batching",
    "generate": "transformers generate(), static batch",
    "kaiwa-int8": "Kaiwa, int8",
    "vllm": "vLLM for CPUs",
    "llama.cpp": "llama.cpp server",
}


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
    """Everything that was measured, and under what."""

    command: str
    machine: dict[str, str]
    workload: dict[str, object]
    rounds: int
    rows: list[Row]


FIGURES: list[tuple[str, Callable[[Row], float], str]] = [
    ("tokens/s", lambda row: row.tokens_per_second, "{:.0f}"),
    ("TTFT p50 ms", lambda row: row.ttft_p50_ms, "{:.0f}"),
    ("TTFT p99 ms", lambda row: row.ttft_p99_ms, "{:.0f}"),
    ("ITL p50 ms", lambda row: row.itl_p50_ms, "{:.1f}"),
    ("ITL p99 ms", lambda row: row.itl_p99_ms, "{:.1f}"),
]


def summarise(run: Run) -> list[list[str]]:
    """Return a header and one line per concurrency and engine, medians over the rounds."""
    lines = [["streams", "engine", *(name for name, _, _ in FIGURES), "range of tokens/s"]]
    peers = list(dict.fromkeys(row.peer for row in run.rows))
    for streams in sorted({row.streams for row in run.rows}):
        for peer in peers:
            rows = [row for row in run.rows if (row.peer, row.streams) == (peer, streams)]
            medians = [
                form.format(statistics.median(map(figure, rows))) for _, figure, form in FIGURES
            ]
            rates = [row.tokens_per_second for row in rows]
            lines.append(
                [str(streams), NAMES[peer], *medians, f"{min(rates):.0f}–{max(rates):.0f}"]
            )
    return lines


def write_report(run: Run, path: Path | None) -> None:
    """Print the table; with a path also write ``.md``, ``.json`` and ``.svg`` beside it."""
    header, *lines = summarise(run)
    table = Table(title="medians over rounds")
    for name in header:
        table.add_column(name, justify="left" if name == "engine" else "right")
    for line in lines:
        table.add_row(*line)
    Console().print(table)
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1))
    path.with_suffix(".svg").write_text(_chart(run), encoding="utf-8")
    rows = ["| " + " | ".join(line) + " |" for line in (header, ["---:"] * len(header), *lines)]
    machine = ", ".join(f"{key} {value}" for key, value in run.machine.items())
    workload = ", ".join(f"{key} {value}" for key, value in run.workload.items())
    text = [
        f"![tokens per second by streams]({path.with_suffix('.svg').name})\n",
        *rows,
        f"\nMedians over {run.rounds} alternating rounds. Machine: {machine}.",
        f"Workload: {workload}.\n",
        f"```sh\n{run.command}\n```\n",
    ]
    path.with_suffix(".md").write_text("\n".join(text), encoding="utf-8")


def _chart(run: Run) -> str:
    """Bars of tokens per second: one group per concurrency, one bar per engine."""
    peers = list(dict.fromkeys(row.peer for row in run.rows))
    concurrencies = sorted({row.streams for row in run.rows})
    top = max(row.tokens_per_second for row in run.rows) * 1.1
    width, height, left, bottom = 720, 320, 56, 48
    group = (width - left - 16) / len(concurrencies)
    bar = group * 0.8 / len(peers)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, sans-serif" font-size="12" role="img">',
        "<title>tokens per second by concurrent streams</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for tick in range(5):
        value = top * tick / 4
        y = height - bottom - (height - bottom - 40) * tick / 4
        parts.append(f'<path d="M{left} {y:.1f}H{width - 16}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.0f}</text>')
    for place, streams in enumerate(concurrencies):
        x = left + group * place + group * 0.1
        for index, peer in enumerate(peers):
            rates = [
                row.tokens_per_second
                for row in run.rows
                if (row.peer, row.streams) == (peer, streams)
            ]
            rate = statistics.median(rates)
            tall = (height - bottom - 40) * rate / top
            at = x + bar * index
            y = height - bottom - tall
            parts.append(
                f'<rect x="{at:.1f}" y="{y:.1f}" width="{bar - 3:.1f}" height="{tall:.1f}" '
                f'rx="2" fill="{COLOURS[peer]}"/>'
            )
            parts.append(
                f'<text x="{at + bar / 2 - 1.5:.1f}" y="{y - 4:.1f}" text-anchor="middle">'
                f"{rate:.0f}</text>"
            )
        middle = left + group * (place + 0.5)
        label = f"{streams} stream" + ("s" if streams > 1 else "")
        parts.append(
            f'<text x="{middle:.1f}" y="{height - bottom + 18}" text-anchor="middle">{label}</text>'
        )
    for index, peer in enumerate(peers):
        x = left + index * 215
        parts.append(f'<rect x="{x}" y="10" width="10" height="10" fill="{COLOURS[peer]}"/>')
        parts.append(f'<text x="{x + 15}" y="19">{escape(NAMES[peer])}</text>')
    return "\n".join([*parts, "</svg>"])
