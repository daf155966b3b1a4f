"""What this machine is, what it can do at most, and what that allows a model."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from safetensors import safe_open

from clients.surroundings import describe_processor
from engine.model.loader import cpu_has_bfloat16
from tools.bench.workload import Workload

_ROUNDS = 7


def describe_machine() -> dict[str, str]:
    """Return what a reader needs to judge the figures; no host name."""
    return {
        "processor": describe_processor(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "transformers": str(transformers.__version__),
    }


@dataclass(frozen=True, slots=True)
class Limits:
    """What all cores reach together.

    Attributes:
        bandwidth: Bytes per second, reading memory that is in no cache.
        flops: Operations per second of a large product, two per multiply and add; in bfloat16, or
            in float32 on a processor that has no arithmetic for that.
    """

    bandwidth: float
    flops: float

    def __str__(self) -> str:
        return f"{self.bandwidth / 1e9:.1f} GB/s, {self.flops / 1e9:.0f} GFLOP/s"


def usual_dtype() -> str:
    """Return the type that models are computed in here, whatever the engine."""
    return "bfloat16" if cpu_has_bfloat16() else "float32"


def measure_limits() -> Limits:
    """Measure both, with torch; takes about three seconds."""
    before = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    with torch.inference_mode():
        block = torch.ones(2**28)
        bandwidth = block.numel() * 4 / median_s(lambda: block.sum())
        dtype = getattr(torch, usual_dtype())
        left = torch.randn(512, 2048, dtype=dtype)
        right = torch.randn(2048, 4096, dtype=dtype)
        flops = 2 * 512 * 2048 * 4096 / median_s(lambda: left @ right)
    torch.set_num_threads(before)
    return Limits(bandwidth, flops)


def median_s(call: Callable[[], object]) -> float:
    """Return the median seconds of a call that was made twice before."""
    call(), call()
    seconds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What a step has to read and compute.

    Attributes:
        body_parameters: Multiplied with each token.
        head_parameters: Multiplied with each token that is decoded.
        bytes_per_parameter: As stored.
        kv_bytes_per_token: Of keys and values.
    """

    body_parameters: int
    head_parameters: int
    bytes_per_parameter: float
    kv_bytes_per_token: int

    @classmethod
    def of(cls, folder: Path) -> ModelShape:
        """Read it from a checkpoint with 16-bit weights."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        total = 0
        for file in folder.glob("*.safetensors"):
            with safe_open(str(file), framework="pt") as tensors:
                for name in tensors.keys():  # noqa: SIM118 - it is no dictionary
                    size = 1
                    for length in tensors.get_slice(name).get_shape():
                        size *= length
                    total += size
        head = config["vocab_size"] * config["hidden_size"]
        body = total - head * (1 if config.get("tie_word_embeddings") else 2)
        heads = config.get("num_key_value_heads") or config["num_attention_heads"]
        dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        return cls(body, head, 2.0, 2 * 2 * config["num_hidden_layers"] * heads * dim)


def decode_floor_s(model: ModelShape, limits: Limits, num_rows: int, num_kv_tokens: int) -> float:
    """Return what a decode step takes at least.

    The larger of two times: weights and keys read once at the measured bandwidth, and the products
    at the measured rate. Attention's own arithmetic is left out.

    Args:
        model: Its shape.
        limits: Of the machine.
        num_rows: Sequences.
        num_kv_tokens: Tokens whose keys and values are read, a shared beginning once.
    """
    parameters = model.body_parameters + model.head_parameters
    read = parameters * model.bytes_per_parameter + num_kv_tokens * model.kv_bytes_per_token
    return max(read / limits.bandwidth, 2 * parameters * num_rows / limits.flops)


def floor_tokens_per_second(
    workload: Workload, streams: int, model: ModelShape, limits: Limits
) -> float:
    """Return the rate that so many streams cannot exceed with weights and keys in 16 bits.

    Every reply costs the reading of its own part of the prompt and its share of the decode steps,
    all of them with a full batch.
    """
    context = workload.own_tokens + workload.output_tokens // 2
    step_s = decode_floor_s(model, limits, streams, workload.shared_tokens + streams * context)
    prompt_s = 2 * model.body_parameters * workload.own_tokens / limits.flops
    return streams * workload.output_tokens / (workload.output_tokens * step_s + streams * prompt_s)
