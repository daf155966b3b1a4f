"""The tables of a run, in Markdown, made of its results alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tools.gpu.results import Results, Row

Form = Callable[[Any], str]


def tables(results: Results) -> str:
    """Return everything that was measured, and what was not."""
    parts: list[tuple[str, Callable[[Results], list[list[str]]]]] = [
        ("The card", _limits),
        ("Correctness", _tests),
        ("Decode steps", _decodes),
        ("Prompts", _prompts),
        ("A shared persona", _personas),
        ("What fewer bits cost", _quality),
        ("nano-vllm's benchmark", _benchmark),
        ("Attention", _attention),
        ("Linears", _linears),
        ("Sampling", _sampling),
        ("Others", _peers),
        ("The server", _server),
    ]
    text = [f"# {results.found['device']}"]
    for title, lines_of in parts:
        lines = lines_of(results)
        if len(lines) > 1:
            text += [f"## {title}", markdown(lines)]
    text += ["## Not measured", *_missing(results)]
    return "\n\n".join(text) + "\n"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Return a header and lines as a table."""
    rule = [":---", *["---:"] * (len(lines[0]) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], rule, *lines[1:]))


def _table(rows: Iterable[Row], columns: dict[str, tuple[str, Form]]) -> list[list[str]]:
    """Return a header and a line per row; figures that a row does not have are left empty."""
    lines = [list(columns)]
    for row in rows:
        cells = [form(row[key]) if key in row else "" for key, form in columns.values()]
        lines.append(cells)
    return lines


_WHOLE = "{:.0f}".format
_MS = "{:.3f}".format
_SHARE = "{:.0%}".format


def _terabytes(rate: float) -> str:
    return f"{rate / 1e12:.2f}"


def _limits(results: Results) -> list[list[str]]:
    lines = [["", ""]]
    for name, row in results.rows("limits").items():
        if "bytes_per_second" in row:
            lines.append([name, f"{row['bytes_per_second'] / 1e12:.2f} TB/s"])
        elif "operations_per_second" in row:
            lines.append([name, f"{row['operations_per_second'] / 1e12:.0f} TFLOP/s"])
        elif "microseconds" in row:
            lines.append([f"a kernel's {name}", f"{row['microseconds']:.2f} µs"])
        else:
            lines += [[key, str(value)] for key, value in row.items()]
    return lines


def _tests(results: Results) -> list[list[str]]:
    lines = [["", "passed", "failed", "largest error against float64"]]
    for part in ("correctness", "faults"):
        for name, row in results.rows(part).items():
            errors = row.get("largest_errors", {})
            worst = f"{max(errors.values()):.2g}" if errors else ""
            lines.append([name, str(row["passed"]), str(row["failed"]), worst])
    return lines


def _all_decodes(results: Results) -> list[Row]:
    return [*results.rows("decode").values(), *results.rows("formats").values()]


def _decodes(results: Results) -> list[list[str]]:
    rows = [r for r in _all_decodes(results) if r["what"] != "prompt" and "reading" not in r]
    return _table(
        (row | {"kind": _kind(row)} for row in rows),
        {
            "model": ("model", str),
            "held in": ("kind", str),
            "streams": ("streams", str),
            "step ms": ("step_ms", _MS),
            "tokens/s": ("tokens_per_second", _WHOLE),
            "of the floor": ("floor_share", _SHARE),
            "host ms": ("host_ms", _MS),
            "prompt tokens/s, joining": ("joining_prompt_tokens_per_second", _WHOLE),
        },
    )


def _kind(row: Row) -> str:
    return str(row["format"]) + (", sampled" if row["what"] == "decode, sampled" else "")


def _prompts(results: Results) -> list[list[str]]:
    return _table(
        (row for row in _all_decodes(results) if row["what"] == "prompt"),
        {
            "model": ("model", str),
            "held in": ("format", str),
            "tokens": ("context", str),
            "ms to the first token": ("step_ms", _MS),
            "tokens/s": ("tokens_per_second", _WHOLE),
            "of the products' floor": ("products_share", _SHARE),
            "start s": ("start_s", "{:.1f}".format),
        },
    )


def _personas(results: Results) -> list[list[str]]:
    return _table(
        (row for row in _all_decodes(results) if "reading" in row),
        {
            "model": ("model", str),
            "streams": ("streams", str),
            "read": ("reading", str),
            "step ms": ("step_ms", _MS),
            "tokens/s": ("tokens_per_second", _WHOLE),
            "of the floor": ("floor_share", _SHARE),
            "of the floor of reading each": ("floor_share_of_reading_each", _SHARE),
        },
    )


def _quality(results: Results) -> list[list[str]]:
    return _table(
        ({"held": name} | row for name, row in results.rows("quality").items()),
        {
            "": ("held", str),
            "KL divergence": ("kl_divergence", "{:.2g}".format),
            "99 % below": ("kl_worst", "{:.2g}".format),
            "same likeliest": ("greedy", "{:.2%}".format),
            "perplexity": ("perplexity", "{:.3f}".format),
        },
    )


def _benchmark(results: Results) -> list[list[str]]:
    return _table(
        ({"engine": name} | row for name, row in results.rows("nanovllm").items()),
        {
            "engine": ("engine", str),
            "tokens/s": ("tokens_per_second", _WHOLE),
            "once more": ("again_tokens_per_second", _WHOLE),
            "start s": ("start_s", "{:.1f}".format),
        },
    )


def _attention(results: Results) -> list[list[str]]:
    names = ["kaiwa", "kaiwa, by each", "FlashAttention-3"]
    lines = [["", *(f"{name}: µs, TB/s" for name in names)]]
    for what, row in results.rows("kernels").items():
        if what.startswith("attention"):
            lines.append([what, *(_kernel(row.get(name), "microseconds") for name in names)])
    return lines


def _linears(results: Results) -> list[list[str]]:
    names = ["torch", "deterministic", "fp8", "int8"]
    lines = [["", *(f"{name}: µs a layer, TB/s" for name in names)]]
    for what, row in results.rows("kernels").items():
        if what.startswith("linears"):
            cells = (_kernel(row.get(name), "microseconds_per_layer") for name in names)
            lines.append([what, *cells])
    return lines


def _sampling(results: Results) -> list[list[str]]:
    rows = {w: r for w, r in results.rows("kernels").items() if w.startswith("sampling")}
    kinds = list(dict.fromkeys(kind for row in rows.values() for kind in row["microseconds"]))
    lines = [["", *(f"{kind}, µs" for kind in kinds)]]
    for what, row in rows.items():
        lines.append([what, *(f"{row['microseconds'].get(kind, 0):.1f}" for kind in kinds)])
    return lines


def _kernel(found: object, key: str) -> str:
    if not isinstance(found, dict):
        return ""
    return f"{found[key]:.1f}, {_terabytes(found['bytes_per_second'])}"


def _peers(results: Results) -> list[list[str]]:
    return _table(
        (
            {"engine": engine, "streams": streams} | figures
            for engine, row in results.rows("peers").items()
            for streams, figures in row.items()
        ),
        {"engine": ("engine", str), "": ("streams", str), **_FELT},
    )


def _server(results: Results) -> list[list[str]]:
    return _table(
        ({"": name} | row for name, row in results.rows("server").items()),
        {"": ("", str), **_FELT, "failed": ("failed", str)},
    )


_FELT: dict[str, tuple[str, Form]] = {
    "tokens/s": ("tokens_per_second", _WHOLE),
    "TTFT p50 ms": ("ttft_p50_ms", "{:.1f}".format),
    "TTFT p99 ms": ("ttft_p99_ms", "{:.1f}".format),
    "ITL p50 ms": ("itl_p50_ms", "{:.2f}".format),
    "ITL p99 ms": ("itl_p99_ms", "{:.2f}".format),
}


def _missing(results: Results) -> list[str]:
    """Return a line for whatever was skipped, left or failed."""
    lines = []
    for name, part in results.found["parts"].items():
        lines += [f"* {name}, {what}: {why}" for what, why in part["skipped"].items()]
        lines += [f"* {name}, {what}: FAILED, {why}" for what, why in part["failed"].items()]
        lines += [f"* {name}, {what}: no time left" for what in part["left"]]
    return ["\n".join(lines) or "Nothing."]
