"""The figure of a run: shares of the floor, personas, formats, and others beside Kaiwa."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tools.bench.bars import Bars, draw
from tools.gpu.results import Results, Row

_COLOURS = (
    "#e0563b",
    "#3b7fe0",
    "#5aa469",
    "#f0a03b",
    "#7a5ae0",
    "#8a8f98",
    "#b39ddb",
    "#64748b",
)
_TITLE = "Kaiwa on a GPU"


def draw_figure(results: Results) -> str:
    """Return the charts for which there are figures, below each other, as SVG."""
    charts = [_floors(results), _personas(results), _formats(results), _others(results)]
    return draw([chart for chart in charts if chart.values], _TITLE)


def _floors(results: Results) -> Bars:
    rows = [
        row
        for row in results.rows("decode").values()
        if row["what"] == "decode" and row["format"] == "bf16" and "reading" not in row
    ]
    return _bars(
        "decode steps in bf16: share of what the measured bandwidth allows, by streams",
        ((f"{row['streams']} streams", row["model"], row["floor_share"]) for row in rows),
        "{:.0%}".format,
    )


def _personas(results: Results) -> Bars:
    rows = [row for row in results.rows("decode").values() if "reading" in row]
    most = max((row["streams"] for row in rows), default=0)
    return _bars(
        f"milliseconds of a step of {most} streams whose persona is read apart or together",
        (
            (row["model"], f"read {row['reading']}", row["step_ms"])
            for row in rows
            if row["streams"] == most
        ),
        "{:.2f}".format,
    )


def _formats(results: Results) -> Bars:
    rows = [*results.rows("decode").values(), *results.rows("formats").values()]
    plain = [row for row in rows if row["what"] == "decode" and "reading" not in row]
    chosen = {row["streams"] for row in results.rows("formats").values()}
    most = max(chosen, default=0)
    return _bars(
        f"tokens per second of {most} streams, by how weights and keys are held",
        (
            (row["model"], row["format"], row["tokens_per_second"])
            for row in plain
            if row["streams"] == most
        ),
        _thousands,
    )


def _others(results: Results) -> Bars:
    found: list[tuple[str, str, float]] = []
    for engine, row in results.rows("peers").items():
        for streams, figures in row.items():
            if streams != "1 streams":
                found.append((streams, engine, figures["tokens_per_second"]))
    names = {"kaiwa": "Kaiwa", "vllm": "vLLM"}
    for engine, row in results.rows("nanovllm").items():
        rate = _best(row)
        found.append(("nano-vllm's benchmark", names.get(engine, engine), rate))
    return _bars("tokens per second on the shape of Qwen3-0.6B, beside others", found, _thousands)


def _thousands(rate: float) -> str:
    return f"{rate / 1000:.1f}k"


def _best(row: Row) -> float:
    return max(float(row["tokens_per_second"]), float(row["again_tokens_per_second"]))


def _bars(
    title: str,
    found: Iterable[tuple[str, str, float]],
    form: Callable[[float], str] = "{:.0f}".format,
) -> Bars:
    """Make a chart of (group, series, value), both in the order in which they first come."""
    several = list(found)
    groups: Sequence[str] = list(dict.fromkeys(group for group, _, _ in several))
    series: Sequence[str] = list(dict.fromkeys(name for _, name, _ in several))
    return Bars(
        title=title,
        groups=groups,
        series=series,
        values={(groups.index(g), series.index(s)): value for g, s, value in several},
        colours=[_COLOURS[i % len(_COLOURS)] for i in range(len(series))],
        form=form,
        is_titled=True,
    )
