"""Tables and figure of a run's results."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tools.gpu.figure import draw_figure
from tools.gpu.results import Part, Results
from tools.gpu.tables import tables


def decode(streams: int, *, model: str = "Llama-3.1-8B", **more: Any) -> dict[str, Any]:
    """A row as the part writes it."""
    row = {
        "model": model,
        "format": "bf16",
        "what": "decode",
        "streams": streams,
        "context": 1000.0,
        "shared": 0,
        "step_ms": 2.0,
        "tokens_per_second": 500.0 * streams,
        "floor_ms": 1.7,
        "floor_share": 0.85,
        "host_ms": 0.125,
    }
    return row | more


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Of a run in which not everything could be measured."""
    results = Results(tmp_path / "results.json")
    results.note(device="NVIDIA H200")
    limits = Part(results, "limits", 9.0)
    limits.add("read", bytes_per_second=4.4e12, best="tile 4096")
    limits.add("boundary", microseconds=1.25, kernels=300)
    part = Part(results, "decode", 9.0)
    part.add("1", **decode(1))
    part.add("64", **decode(64))
    for reading in ("apart", "together"):
        row = decode(64, reading=reading, shared=800, floor_share_of_reading_each=1.2)
        part.add(f"64, {reading}", **row)
    part.skip("bf16, deterministic", "unknown setting 'deterministic'")
    part.leave("256")
    formats = Part(results, "formats", 9.0)
    formats.add("fp8", **decode(64, format="fp8 weights", tokens_per_second=50_000.0))
    peers = Part(results, "peers", 9.0)
    felt = {"ttft_p50_ms": 9.0, "ttft_p99_ms": 19.0, "itl_p50_ms": 2.0, "itl_p99_ms": 3.0}
    for engine, rate in (("Kaiwa", 21_000.0), ("vLLM", 14_000.0)):
        peers.add(engine, **{"64 streams": {"tokens_per_second": rate, **felt}})
    benchmark = Part(results, "nanovllm", 9.0)
    benchmark.add(
        "kaiwa", tokens_per_second=28_000.0, again_tokens_per_second=29_500.0, start_s=5.0
    )
    return results


def test_every_part_that_ran_has_a_table(results: Results) -> None:
    """Others have none."""
    text = tables(results)
    assert text.startswith("# NVIDIA H200")
    assert "| read | 4.40 TB/s |" in text
    assert "| a kernel's boundary | 1.25 µs |" in text
    assert "| Llama-3.1-8B | bf16 | 64 | 2.000 | 32000 | 85% | 0.125 |" in text
    assert "| Llama-3.1-8B | fp8 weights | 64 |" in text
    assert "| Llama-3.1-8B | 64 | together |" in text
    assert "| kaiwa | 28000 | 29500 | 5.0 |" in text
    assert "| vLLM | 64 streams | 14000 |" in text
    assert "## The server" not in text


def test_what_was_not_measured_is_listed_with_its_reason(results: Results) -> None:
    """Nobody need guess."""
    missing = tables(results).partition("## Not measured")[2]
    assert "* decode, bf16, deterministic: unknown setting 'deterministic'" in missing
    assert "* decode, 256: no time left" in missing


def test_the_figure_has_a_chart_for_each_thing_that_was_measured(results: Results) -> None:
    """Floors, personas, formats and others, in words as in bars."""
    svg = draw_figure(results)
    root = ElementTree.fromstring(svg)
    assert len(root.findall("{http://www.w3.org/2000/svg}g")) == 4
    for words in ("85%", "read together", "fp8 weights", "29.5k", "nano-vllm's benchmark"):
        assert f">{words}<" in svg


def test_a_run_without_results_is_an_empty_figure(tmp_path: Path) -> None:
    """And a page that says that nothing is missing."""
    empty = Results(tmp_path / "results.json")
    assert ElementTree.fromstring(draw_figure(empty)) is not None
    assert tables(empty).endswith("Nothing.\n")
