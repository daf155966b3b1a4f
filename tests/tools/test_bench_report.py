"""Medians, ratios, limits, and the files they are written to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_models import make_checkpoint
from tools.bench.command import shown
from tools.bench.machine import Limits, ModelShape, decode_floor_s, floor_tokens_per_second
from tools.bench.report import Row, Run, medians, ratios, write_report
from tools.bench.workload import Workload


def row(peer: str, rate: float, *, streams: int = 4, first: float = 100.0) -> Row:
    """One round's figures."""
    return Row(
        peer=peer,
        streams=streams,
        tokens_per_second=rate,
        ttft_p50_ms=first,
        ttft_p99_ms=2 * first,
        itl_p50_ms=10.0,
        itl_p99_ms=15.0,
        requests=4,
        tokens=256,
    )


def run_of(*rows: Row, floor: dict[int, float] | None = None) -> Run:
    """A run that found these."""
    return Run(
        command="kaiwa bench", machine={}, workload={}, rounds=3, rows=[*rows], floor=floor or {}
    )


def test_medians_are_taken_over_rounds_and_beside_the_floor() -> None:
    """One slow round changes nothing."""
    run = run_of(row("kaiwa", 90), row("kaiwa", 10), row("kaiwa", 100), floor={4: 120.0})
    header, line = medians(run)
    assert dict(zip(header, line, strict=True))["tokens/s"] == "90"
    assert dict(zip(header, line, strict=True))["of the floor"] == "75%"
    assert line[-1] == "10–100"


def test_ratios_are_to_the_best_of_the_others() -> None:
    """The fastest peer, and the one that answers first, need not be the same."""
    run = run_of(
        row("kaiwa", 120),
        row("kaiwa-int8", 180),
        row("vllm", 100, first=400),
        row("llama.cpp", 50, first=50),
    )
    assert [line[2:] for line in ratios(run)[1:]] == [
        ["1.20", "2.00", "1.50"],
        ["1.80", "2.00", "1.50"],
    ]


def test_eight_bits_are_compared_with_whole_weights_and_with_eight_bits() -> None:
    """A peer's eight bits do not stand beside our whole weights."""
    run = run_of(
        row("kaiwa", 120),
        row("kaiwa-int8", 180),
        row("openvino", 100),
        row("openvino-int8", 150, first=50),
    )
    header, *lines = ratios(run)
    assert header[2:4] == ["tokens/s, of the best peer's", "of the best int8 peer's"]
    assert [line[2:5] for line in lines] == [["1.20", "", "1.00"], ["1.80", "1.20", "1.00"]]


def test_alone_there_is_nothing_to_compare_with() -> None:
    """Neither ours alone nor others alone."""
    assert ratios(run_of(row("kaiwa", 1))) == []
    assert ratios(run_of(row("vllm", 1))) == []


def test_a_report_is_a_page_a_picture_and_the_raw_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Peers that nobody has named in advance have a place too."""
    run = run_of(row("kaiwa", 120), row("10.0.0.1:8000", 60, streams=4))
    write_report(run, tmp_path / "deep" / "report")
    page = (tmp_path / "deep" / "report.md").read_text(encoding="utf-8")
    assert "| 4 | Kaiwa | 120 |" in page
    assert "2.00" in page
    assert "10.0.0.1:8000" in (tmp_path / "deep" / "report.svg").read_text(encoding="utf-8")
    assert "tokens_per_second" in (tmp_path / "deep" / "report.json").read_text(encoding="utf-8")
    assert "beside the best peer" in capsys.readouterr().out


def test_the_command_shows_no_path_of_a_machine() -> None:
    """A reader has others."""
    argv = ["server", "--against", "vllm=/opt/v/bin/python,llama.cpp=/opt/l", "--report", "docs/x"]
    assert shown(argv) == "kaiwa bench server --against vllm=PATH,llama.cpp=PATH --report docs/x"


MODEL = ModelShape(
    body_parameters=1000, head_parameters=200, bytes_per_parameter=2.0, kv_bytes_per_token=8
)


def test_a_decode_step_is_bound_by_memory_or_by_arithmetic() -> None:
    """Whichever takes longer."""
    reads = Limits(bandwidth=100.0, flops=1e9)
    computes = Limits(bandwidth=1e9, flops=100.0)
    assert decode_floor_s(MODEL, reads, 4, 50) == pytest.approx((2400 + 400) / 100)
    assert decode_floor_s(MODEL, computes, 4, 50) == pytest.approx(2 * 1200 * 4 / 100)


def test_the_floor_of_a_loop_is_its_decodes_and_its_own_prompts() -> None:
    """What is shared is read once, and computed never."""
    workload = Workload(
        model="m", streams=(4,), prompt_tokens=30, shared_tokens=20, output_tokens=8
    )
    limits = Limits(bandwidth=1e9, flops=1e4)
    decode_s = 2 * 1200 * 4 / 1e4
    prompt_s = 2 * 1000 * 10 / 1e4
    expected = 4 * 8 / (8 * decode_s + 4 * prompt_s)
    assert floor_tokens_per_second(workload, 4, MODEL, limits) == pytest.approx(expected)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_a_checkpoint_tells_its_own_shape(tmp_path: Path, family: str) -> None:
    """Its head counts once, tied to the embedding or not."""
    from transformers import AutoModelForCausalLM

    folder = make_checkpoint(tmp_path, family)
    shape = ModelShape.of(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(str(folder))
    head = model.get_output_embeddings().weight
    tables = {head.data_ptr(), model.get_input_embeddings().weight.data_ptr()}
    body = sum(p.numel() for p in model.parameters() if p.data_ptr() not in tables)
    assert (shape.body_parameters, shape.head_parameters) == (body, head.numel())
