"""Measures a decoder on a GPU beside what its memory allows: decoding, prompts, shared personas.

Weights are random, of the shapes of published models; contexts are filled with random keys. A step
is one call of the engine's forward with the read of its tokens, as the engine waits for it. The
floor of a decode step is the larger of two times, weights read once at the bandwidth measured here
and products at the rate measured here, plus the keys and values read once at that bandwidth.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from engine.config import BLOCK_SIZE
from engine.decoder.spec import DecoderSpec, LayerSpec, MergedLinear
from engine.gpu.weights import DecoderWeights
from engine.model.forward import Span
from engine.model.gpu_forward import GpuForward

_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a published model."""

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    dim: int
    intermediate: int
    vocab: int
    tied: bool
    head_norms: bool = False


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("qwen3-0.6b", 28, 1024, 16, 8, 128, 3072, 151936, tied=True, head_norms=True),
        Shape("llama-3.2-1b", 16, 2048, 32, 8, 64, 8192, 128256, tied=True),
        Shape("llama-3.1-8b", 32, 4096, 32, 8, 128, 14336, 128256, tied=False),
        Shape("tiny", 2, 64, 4, 2, 16, 96, 300, tied=True, head_norms=True),
    )
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement.

    Attributes:
        shape: Of the model.
        what: Such as ``decode`` or ``prompt``.
        streams: Sequences in a step.
        shared: Of their context's tokens, as many are the same for all.
        step_ms: Median.
        tokens_per_second: Of the whole.
        floor_share: What the floor allows over what it took; 0 where none is given.
        host_ms: Of the step, planning and laying out on the host.
    """

    shape: str
    what: str
    streams: int
    shared: int
    step_ms: float
    tokens_per_second: float
    floor_share: float = 0.0
    host_ms: float = 0.0


def make_weights(shape: Shape, device: torch.device, dtype: torch.dtype) -> DecoderWeights:
    """Return random weights of a shape."""

    def linear(n: int, k: int) -> MergedLinear:
        layer = nn.Linear(k, n, bias=False, device=device, dtype=dtype)
        nn.init.normal_(layer.weight, std=0.02)
        return MergedLinear([layer])

    positions = torch.arange(16_384, device=device, dtype=torch.float32)[:, None]
    inverse = 500_000.0 ** -(torch.arange(0, shape.dim, 2, device=device) / shape.dim)
    rotary = torch.cat([(positions * inverse).cos(), (positions * inverse).sin()], dim=1)
    one, head = torch.ones(shape.hidden, device=device), torch.ones(shape.dim, device=device)
    layers = tuple(
        LayerSpec(
            attention_norm=one,
            query_norm=head if shape.head_norms else None,
            key_norm=head if shape.head_norms else None,
            after_attention_norm=None,
            mlp_norm=one,
            after_mlp_norm=None,
            qkv=linear((shape.heads + 2 * shape.kv_heads) * shape.dim, shape.hidden),
            output=linear(shape.hidden, shape.heads * shape.dim),
            gate_up=linear(2 * shape.intermediate, shape.hidden),
            down=linear(shape.hidden, shape.intermediate),
            rotary=rotary,
            scaling=shape.dim**-0.5,
            softcap=None,
            window=None,
            sinks=None,
        )
        for _ in range(shape.layers)
    )
    embedding = None
    if not shape.tied:
        embedding = torch.randn(shape.vocab, shape.hidden, device=device, dtype=dtype)
    spec = DecoderSpec(
        layers=layers,
        final_norm=one,
        embedding=embedding,
        head=linear(shape.vocab, shape.hidden),
        hidden=shape.hidden,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_dim=shape.dim,
        intermediate=shape.intermediate,
        vocab=shape.vocab,
        rotary_dim=shape.dim,
        activation="silu",
        epsilon=1e-6,
        embedding_scale=1.0,
        residual_scale=1.0,
        logit_scale=1.0,
        logit_softcap=None,
        dtype=dtype,
    )
    with torch.inference_mode():
        return DecoderWeights(spec, device)


class Bench:
    """Measures one shape.

    Args:
        shape: What to build.
        context: Tokens stored for each sequence.
        most_streams: Sequences that memory is made for.
        device: Where.
    """

    def __init__(self, shape: Shape, context: int, most_streams: int, device: torch.device) -> None:
        self._shape, self._context, self._device = shape, context, device
        self._dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self._weights = make_weights(shape, device, self._dtype)
        self._per_sequence = -(-(context + 1) // BLOCK_SIZE)
        self._forward = GpuForward(self._weights, most_streams * self._per_sequence)
        with torch.inference_mode():
            for store in (*self._forward.store.keys, *self._forward.store.values):
                store.normal_()
        self._bandwidth, self._flops = limits(device, self._dtype)

    def decode(self, streams: int, shared: int, *, reads_together: bool) -> Figure:
        """Time a step in which every stream decodes one token."""
        spans = self._spans(streams, shared)
        tokens = [5] * streams
        self._forward.planner.shares = reads_together

        def step() -> None:
            logits = self._forward.run(spans, tokens, range(streams))
            assert logits is not None
            logits.values.argmax(dim=-1).tolist()

        seconds = median_s(step)
        host = median_s(lambda: self._forward.planner.plan(spans))
        read = shared + streams * (self._context - shared) if reads_together else None
        return Figure(
            shape=self._shape.name,
            what="decode" if reads_together or not shared else "decode, each for itself",
            streams=streams,
            shared=shared,
            step_ms=1e3 * seconds,
            tokens_per_second=streams / seconds,
            floor_share=self.floor_s(streams, read or streams * self._context) / seconds,
            host_ms=1e3 * host,
        )

    def prompt(self, tokens: int) -> Figure:
        """Time the reading of a prompt at once."""
        blocks = array("i", range(-(-tokens // BLOCK_SIZE)))
        ids = [5] * tokens

        def step() -> None:
            logits = self._forward.run([Span(0, tokens, blocks)], ids, [tokens - 1])
            assert logits is not None
            logits.values.argmax(dim=-1).tolist()

        seconds = median_s(step)
        return Figure(self._shape.name, "prompt", 1, 0, 1e3 * seconds, tokens / seconds)

    def floor_s(self, streams: int, num_kv_tokens: int) -> float:
        """Return what a decode step takes at least."""
        element = self._dtype.itemsize
        linears = [linear for layer in self._weights.layers for linear in layer.linears]
        parameters = sum(x.num_parameters for x in (*linears, self._weights.head))
        kv = 2 * self._shape.layers * self._shape.kv_heads * self._shape.dim * element
        weights_s = parameters * element / self._bandwidth
        products_s = 2 * parameters * streams / self._flops
        return max(weights_s, products_s) + num_kv_tokens * kv / self._bandwidth

    def _spans(self, streams: int, shared: int) -> list[Span]:
        together = shared // BLOCK_SIZE
        persona = list(range(together))
        own = self._per_sequence - together
        return [
            Span(
                self._context,
                1,
                array("i", [*persona, *range(together + i * own, together + (i + 1) * own)]),
            )
            for i in range(streams)
        ]


def limits(device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    """Return bytes per second, reading, and operations per second of a large product."""
    size = 2**30 if device.type == "cuda" else 2**22
    block = torch.randn(size, device=device, dtype=dtype)
    bandwidth = size * dtype.itemsize / median_s(lambda: block.view(64, -1).sum(dim=1), device)
    side = 8192 if device.type == "cuda" else 256
    left = torch.randn(side, side, device=device, dtype=dtype)
    flops = 2 * side**3 / median_s(lambda: left @ left, device)
    return bandwidth, flops


def median_s(call: Callable[[], object], device: torch.device | None = None) -> float:
    """Return the median seconds of a call; with a device, until it has done it."""

    def settle() -> None:
        if device is not None and device.type == "cuda":
            torch.cuda.synchronize(device)

    seconds = []
    for round_ in range(_ROUNDS + 3):
        settle()
        started = time.perf_counter()
        call()
        settle()
        if round_ >= 3:
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and write JSON after each figure, so that a cut run keeps what it has."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.gpu_bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [name for name in SHAPES if name != "tiny"]
    parser.add_argument("--shapes", default=",".join(names), help="(%(default)s)")
    parser.add_argument("--streams", default="1,8,32,64,128,256", help="(%(default)s)")
    parser.add_argument("--context", type=int, default=1024, help="tokens (%(default)s)")
    parser.add_argument("--shared", type=int, default=800, help="of them (%(default)s)")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    options = parser.parse_args(argv)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    streams = [int(n) for n in options.streams.split(",")]
    figures: list[Figure] = []

    def keep(figure: Figure) -> None:
        figures.append(figure)
        print(
            f"{figure.shape:13} {figure.what:24} {figure.streams:4} streams, "
            f"{figure.shared:4} shared: {figure.step_ms:8.3f} ms, "
            f"{figure.tokens_per_second:9.0f} tokens/s, {figure.floor_share:5.0%} of the floor, "
            f"host {figure.host_ms:.2f} ms",
            flush=True,
        )
        if options.json is not None:
            found = {"device": _name(device), "figures": [asdict(f) for f in figures]}
            options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")

    for name in options.shapes.split(","):
        bench = Bench(SHAPES[name], options.context, max(streams), device)
        for n in streams:
            keep(bench.decode(n, 0, reads_together=True))
        shared = options.shared // BLOCK_SIZE * BLOCK_SIZE
        for n in (n for n in streams if n > 1):
            keep(bench.decode(n, shared, reads_together=True))
            keep(bench.decode(n, shared, reads_together=False))
        keep(bench.prompt(options.context))
        del bench
    return 0


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    return f"no GPU, Triton's interpreter, torch {torch.__version__}"


if __name__ == "__main__":
    sys.exit(main())
