"""Compiles every GPU kernel for processors that are not here, and tells what each one takes.

Runs the launching code as it is, on tensors in main memory, with the launch itself left out: what
is compiled is exactly what would run. Registers, spills and shared memory are read from the machine
code with the tools that Triton brings along.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import triton
from rich.console import Console
from rich.table import Table
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from engine.attention.kv_store import KVStore, LayerShape
from engine.attention.metadata import Span
from engine.decoder.quantised import QuantisedWeight
from engine.gpu.attention.paged_attention import attend
from engine.gpu.attention.span_step import send_spans
from engine.gpu.attention.work_planner import WorkPlanner
from engine.gpu.linear.linears import EXPANDS_ABOVE, PackedLinear
from engine.gpu.linear.packed_weight import PackedWeight, pack, pack_plain
from engine.gpu.rows import gate_rows, norm_rows, place
from engine.gpu.sampling.sample import sample
from engine.gpu.sampling.sampling_state import SamplingState
from engine.gpu.step.request_state import RequestState
from engine.gpu.step.slot_step import decode_sizes, layout_of, look_up, read_step

_TILE = ("FORMAT", "GROUP", "ROWS", "KEYS", "OUTPUTS", "STEP", "OWN", "FILTERS")
_TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


@dataclass(frozen=True, slots=True)
class Resources:
    """What one compiled kernel takes.

    Attributes:
        target: Such as ``sm_90``.
        shape: Of which model.
        kernel: Its name.
        tile: Its constants that choose how it computes.
        registers: Per thread.
        spilled: Bytes per thread of memory that stands in for registers.
        shared: Bytes per program.
    """

    target: str
    shape: str
    kernel: str
    tile: str
    registers: int
    spilled: int
    shared: int


@dataclass(frozen=True, slots=True)
class Shape:
    """A model whose kernels are compiled."""

    name: str
    hidden: int
    heads: int
    kv_heads: int
    dim: int
    intermediate: int
    vocab: int
    window: int | None = None
    softcap: float | None = None
    sinks: bool = False
    head_norms: bool = False


SHAPES = (
    Shape("Qwen3-0.6B", 1024, 16, 8, 128, 3072, 151936, head_norms=True),
    Shape("Llama-3.2-1B", 2048, 32, 8, 64, 8192, 128256),
    Shape("Llama-3.1-8B", 4096, 32, 8, 128, 14336, 128256),
    Shape("Gemma-2-9B", 3584, 16, 8, 256, 14336, 256000, window=4096, softcap=50.0),
    Shape("gpt-oss-20B", 2880, 64, 8, 64, 2880, 201088, window=128, sinks=True),
)


class _AbsentDriver:
    """Stands in for the driver of a GPU that is not here."""

    def __init__(self, target: GPUTarget) -> None:
        self._target = target

    def get_current_target(self) -> GPUTarget:
        return self._target

    def get_current_device(self) -> int:
        return int(self._target.arch)  # what is compiled is kept by device

    def get_current_stream(self, device: int) -> int:
        return device


@contextmanager
def compiling_for(capability: int) -> Iterator[list[tuple[Any, dict[str, Any]]]]:
    """Let launches compile for a processor and run nothing; yields what was compiled.

    Nothing can be launched for real afterwards: the driver stays absent.
    """
    compiled: list[tuple[Any, dict[str, Any]]] = []
    run = JITFunction.run

    def dry_run(kernel: Any, *args: Any, **options: Any) -> Any:
        options["warmup"] = True
        made = run(kernel, *args, **options)
        compiled.append((made, {k: v for k, v in options.items() if k.isupper()}))
        return made

    driver.set_active(_AbsentDriver(GPUTarget("cuda", capability, 32)))
    JITFunction.run = dry_run
    try:
        yield compiled
    finally:
        JITFunction.run = run


def launch_all(shape: Shape, dtype: torch.dtype) -> None:
    """Launch every kernel as a step of this model would: decodes that share, and a prompt chunk."""
    for kv_dtype in (dtype, torch.int8, torch.float8_e4m3fn):
        launch_attention(shape, dtype, kv_dtype)
    tokens = 102
    rows, out = torch.zeros(tokens, shape.hidden), torch.zeros(tokens, shape.hidden, dtype=dtype)
    norm_rows(rows, torch.ones(shape.hidden), out, epsilon=1e-6, delta=out)
    gated = torch.zeros(tokens, shape.intermediate, dtype=dtype)
    gate_rows(torch.zeros(tokens, 2 * shape.intermediate, dtype=dtype), gated, "silu")
    launch_sampler(shape.vocab, dtype)
    planner = WorkPlanner([shape.window], shape.heads, shape.kv_heads)
    sizes = decode_sizes(4, 2, planner)
    numbers = torch.zeros(layout_of(sizes, 1).length, dtype=torch.int32)
    look_up(read_step(numbers, sizes, planner), RequestState(4, 1024, out.device))


def launch_attention(shape: Shape, dtype: torch.dtype, kv_dtype: torch.dtype) -> None:
    """Launch what writes and reads keys and values."""
    layer = LayerShape(shape.kv_heads, shape.dim, shape.dim)
    store = KVStore([layer], 64, dtype=kv_dtype, device=torch.device("cpu"))
    table = array("i", range(1, 33))
    spans = [Span(300, 1, table), Span(310, 1, table), Span(0, 100, table)]
    tokens = sum(span.num_tokens for span in spans)
    planner = WorkPlanner([shape.window], shape.heads, shape.kv_heads)
    qkv = torch.zeros(tokens, (shape.heads + 2 * shape.kv_heads) * shape.dim, dtype=dtype)
    query = torch.zeros(tokens, shape.heads, shape.dim, dtype=dtype)
    numbers = torch.arange(tokens, dtype=torch.int32)
    norm = torch.ones(shape.dim) if shape.head_norms else None
    place(
        qkv,
        query,
        store.keys[0],
        store.values[0],
        numbers,
        numbers,
        rotary=torch.zeros(512, shape.dim),
        query_norm=norm,
        key_norm=norm,
        epsilon=1e-6,
        key_scales=store.key_scales[0],
        value_scales=store.value_scales[0],
    )
    step = send_spans(spans, [0] * tokens, planner, query.device)
    attend(
        query,
        store.keys[0],
        store.values[0],
        step.work[shape.window],
        scaling=0.1,
        window=shape.window,
        softcap=shape.softcap,
        sinks=torch.zeros(shape.heads) if shape.sinks else None,
        key_scales=store.key_scales[0],
        value_scales=store.value_scales[0],
    )


def launch_linears(shape: Shape, dtype: torch.dtype) -> None:
    """Launch a layer's first product in every format: for a few rows, for more, for very many."""
    outputs, inputs = (shape.heads + 2 * shape.kv_heads) * shape.dim, shape.hidden

    def stored(kind: torch.dtype, block: tuple[int, int], bits: Literal[4, 8]) -> PackedWeight:
        scales = torch.ones(-(-outputs // block[0]), -(-inputs // block[1]))
        payload = torch.zeros(outputs, inputs, dtype=torch.uint8).view(kind)
        return pack(QuantisedWeight(payload, scales, None, block, bits))

    whole = pack_plain(torch.zeros(outputs, inputs, dtype=dtype))
    quantised = (
        stored(torch.int8, (1, inputs), 8),
        stored(torch.float8_e4m3fn, (1, inputs), 8),
        stored(torch.float8_e4m3fn, (128, 128), 8),
        stored(torch.uint8, (1, 32), 4),
        stored(torch.uint8, (1, 128), 4),
    )
    linears = [PackedLinear(weight, None) for weight in quantised]
    for linear in (PackedLinear(whole, None, one_tile=True), *linears):
        for rows in (1, 17, EXPANDS_ABOVE + 1):
            linear(torch.zeros(rows, inputs, dtype=dtype))


def launch_sampler(vocab: int, dtype: torch.dtype) -> None:
    """Sample as plainly as can be, and with everything that a request may ask for."""
    cpu, numbers = torch.device("cpu"), torch.zeros(2, dtype=torch.int32)
    requests, state = RequestState(2, 4096, cpu), SamplingState(2, vocab, cpu)
    masks = torch.zeros(2, state.ends.shape[1], dtype=torch.int32)
    for whole in (False, True):
        sample(
            torch.zeros(2, vocab, dtype=dtype),
            numbers,
            numbers,
            numbers,
            requests,
            state,
            numbers,
            changes=whole,
            filters=whole,
            masks=masks if whole else None,
            masked=numbers if whole else None,
        )


def measure(capability: int, shape: Shape, dtype: torch.dtype) -> list[Resources]:
    """Compile all kernels of a model for a processor."""
    with compiling_for(capability) as compiled:
        launch_all(shape, dtype)
        launch_linears(shape, dtype)
    once = {id(made): (made, constants) for made, constants in compiled}
    return [_resources(f"sm_{capability}", shape.name, *kernel) for kernel in once.values()]


def _resources(target: str, shape: str, made: Any, constants: dict[str, Any]) -> Resources:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        command = [str(_TOOLS / "cuobjdump"), "--dump-resource-usage", file.name]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = {name: int(value) for name, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", told)}
    return Resources(
        target=target,
        shape=shape,
        kernel=made.metadata.name,
        tile=", ".join(f"{k} {v}" for k in _TILE if (v := constants.get(k))),
        registers=found["REG"],
        spilled=found["STACK"] + found["LOCAL"],
        shared=made.metadata.shared,
    )


def main(argv: list[str] | None = None) -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m tools.gpu_kernels", description=__doc__)
    parser.add_argument("--targets", default="80,90", help="compute capabilities (%(default)s)")
    parser.add_argument("--shapes", help="names, all if none")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(argv)
    wanted = options.shapes.split(",") if options.shapes else [shape.name for shape in SHAPES]
    found = [
        resources
        for target in options.targets.split(",")
        for shape in SHAPES
        if shape.name in wanted
        for resources in measure(int(target), shape, torch.bfloat16)
    ]
    if options.json:
        json.dump([asdict(resources) for resources in found], sys.stdout)
        return 0
    table = Table(title="kernels, compiled for processors that are not here")
    for column in ("target", "model", "kernel", "tile", "registers", "spilled", "shared"):
        table.add_column(column, justify="left" if column in {"model", "kernel"} else "right")
    for resources in found:
        table.add_row(*(str(value) for value in asdict(resources).values()))
    Console(width=110).print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
