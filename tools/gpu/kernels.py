"""Part ``kernels``: what single kernels reach of the card, and others' beside them.

Attention decodes one token per sequence over scattered pages of 16 tokens; a shared persona is read
once or by each. Linears are those of whole layers; both go over more memory than a cache holds. The
sampler takes logits that were just made. All calls are replayed from graphs, in turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from engine.decoder.spec import MergedLinear
from engine.gpu.linear.linears import make_linear as make_engine_linear
from tools.gpu.attention_cases import AttentionBench, AttentionCase
from tools.gpu.flash3 import flash3_decode
from tools.gpu.options import Options
from tools.gpu.places import flash3_library
from tools.gpu.results import NotHere, Part, Row
from tools.gpu.sampler_cases import sampler_calls
from tools.gpu.shapes import SHAPES, Shape, largest, smallest
from tools.gpu.timing import Launch, captured, medians_s

_ROUNDS = 11
_TINY_VOCAB = 600
_LEAST_S = 4.0
_KINDS = ("bf16", "fp8", "int8")
Held = Literal["torch", "deterministic", "fp8", "int8"]
"""How the weights of a linear layer are held."""
_CACHE_BYTES = 2**28


def run(part: Part, options: Options, device: torch.device) -> None:
    """Measure attention, linears and the sampler."""
    with torch.inference_mode():
        for case in attention_cases(options):
            name = f"attention of {case.model}, {case.batch} of {case.context}, {case.kind}" + (
                f", {case.shared} shared" if case.shared else ""
            )
            if part.wants(name, seconds=0 if options.tiny else _LEAST_S):
                with part.measuring(name):
                    part.add(name, **_attention(case, options, device))
        for rows in (1, 3) if options.tiny else (1, 16, 64, 256):
            shape = largest(options)
            name = f"linears of {shape.name}, {rows} rows"
            if part.wants(name, seconds=0 if options.tiny else _LEAST_S):
                with part.measuring(name):
                    part.add(name, **_linears(shape, rows, options, device))
        for batch in (2,) if options.tiny else (1, 64, 256):
            shape = smallest(options)
            name = f"sampling of {shape.name}, {batch} rows"
            if part.wants(name, seconds=0 if options.tiny else _LEAST_S):
                with part.measuring(name):
                    part.add(name, **_sampling(shape, batch, options, device))


def attention_cases(options: Options) -> Iterator[AttentionCase]:
    """The sizes, those that tell most first."""
    if options.tiny:
        case = AttentionCase("tiny", 4, 2, 32, 3, 40)
        yield from (case, replace(case, shared=32), replace(case, kind="fp8"))
        return
    heads = {name: SHAPES[name].settings for name in ("Llama-3.1-8B", "Qwen3-0.6B")}
    sizes = [(64, 1024), (1, 1024), (256, 1024), (64, 8192)]
    if not options.quick:
        sizes += [(4, 1024), (16, 1024), (1, 8192), (16, 8192), (256, 8192)]
    for batch, context in sizes:
        for name, of in heads.items():
            case = AttentionCase(
                name,
                of["num_attention_heads"],
                of["num_key_value_heads"],
                of["head_dim"],
                batch,
                context,
            )
            yield from (replace(case, kind=kind) for kind in _KINDS)
            if batch in (64, 256) and context == 1024:
                yield replace(case, shared=800)


def _attention(case: AttentionCase, options: Options, device: torch.device) -> Row:
    bench = AttentionBench(case, device)
    calls: dict[str, Callable[[], Tensor]] = {"kaiwa": bench.ours(shares=True)}
    if case.shared:
        calls["kaiwa, by each"] = bench.ours(shares=False)
    row: Row = {"batch": case.batch, "context": case.context, "shared": case.shared}
    try:
        calls["FlashAttention-3"] = bench.flash3(flash3_decode(flash3_library(options)))
    except NotHere as reason:
        row["without FlashAttention-3"] = str(reason)
    results = {name: call().double() for name, call in calls.items()}
    ours = results["kaiwa"]
    row["differences"] = {
        name: float((found - ours).norm() / ours.norm()) for name, found in results.items()
    }
    replays = {name: captured(call, device) for name, call in calls.items()}
    for name, seconds in medians_s(replays, device, rounds=1 if options.tiny else _ROUNDS).items():
        each_s = seconds / bench.num_sets
        is_once = name == "kaiwa"
        tokens = case.num_read_once if is_once else case.num_read_by_each
        row[name] = {
            "microseconds": 1e6 * each_s,
            "bytes_per_second": tokens * case.token_bytes / each_s,
        }
    return row


def _linears(shape: Shape, rows: int, options: Options, device: torch.device) -> Row:
    """All products of some layers, as many as a cache does not hold."""
    sizes = shape.layer_products
    layer_bytes = 2 * sum(n * k for n, k in sizes)
    layers = 1 if options.tiny else max(1, -(-_CACHE_BYTES // layer_bytes))
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    inputs = {k: torch.randn(rows, k, dtype=dtype, device=device) for _, k in sizes}
    calls: dict[str, Launch] = {}
    held: dict[str, int] = {}
    row: Row = {"model": shape.name, "rows": rows, "layers": layers}
    for kind in get_args(Held):
        try:
            made = [
                (k, make_linear(n, k, kind, dtype, device)) for _ in range(layers) for n, k in sizes
            ]
        except NotHere as reason:
            row[kind] = str(reason)
            continue
        width = {"fp8": 1, "int8": 1}.get(kind, dtype.itemsize)
        held[kind] = width * layers * sum(n * k for n, k in sizes)
        calls[kind] = captured(_all_of(made, inputs), device)
    for kind, seconds in medians_s(calls, device, rounds=1 if options.tiny else _ROUNDS).items():
        row[kind] = {
            "microseconds_per_layer": 1e6 * seconds / layers,
            "bytes_per_second": held[kind] / seconds,
            "operations_per_second": 2 * rows * layers * sum(n * k for n, k in sizes) / seconds,
        }
    return row


def _sampling(shape: Shape, batch: int, options: Options, device: torch.device) -> Row:
    """Microseconds by what requests ask of the sampler."""
    vocab = _TINY_VOCAB if options.tiny else shape.settings["vocab_size"]
    calls = sampler_calls(batch, vocab, device)
    replays = {name: captured(call, device) for name, call in calls.items()}
    seconds = medians_s(replays, device, rounds=1 if options.tiny else _ROUNDS)
    return {"rows": batch, "microseconds": {name: 1e6 * s for name, s in seconds.items()}}


def _all_of(made: list[tuple[int, Any]], inputs: dict[int, Tensor]) -> Launch:
    def launch() -> None:
        for k, linear in made:
            linear(inputs[k])

    return launch


def make_linear(n: int, k: int, kind: Held, dtype: torch.dtype, device: torch.device) -> Any:
    """Return a linear layer with random weights, held as ``kind`` says."""
    plain = nn.Linear(k, n, bias=False, device=device, dtype=dtype)
    nn.init.normal_(plain.weight, std=0.02)
    if kind == "torch":
        return plain
    merged = MergedLinear([plain])
    if kind == "deterministic":
        return make_engine_linear(merged, dtype, device, deterministic=True)
    return make_engine_linear(merged, dtype, device, quantization=kind)
