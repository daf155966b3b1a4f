"""Machines to simulate: what a step costs there, and how much KV they hold.

A preset is either fitted to steps that were measured, or derived from a device's limits. The
derived ones follow the roofline: weights are read once per step, KV once per token of context,
prompt tokens cost arithmetic. Each share is divided by the fraction of the limit that good
engines reach, so the figures are those of a good engine and not of a perfect one; they are to be
replaced by fits as soon as such a device has been measured.

``h200-8b``: Llama-3.1-8B, bfloat16. Weights 15.01 GB at 4.3 TB/s are 3.49 ms, of which engines
reach 75 %: 4.65 ms per step. KV 131,072 bytes a token at 75 %: 40.6 ns. Prompts at 55,500 tokens
a second, 58 % reached: 31 µs each. A row costs its share of the linears once a batch is past
the ridge: 2 * 7.5e9 operations at 790 TFLOP/s are 19 µs; below it the weights hide them. One
straight line through both gives 8 µs.

``h200-0.6b``: Qwen3-0.6B, bfloat16. Weights 1.19 GB: 0.277 ms, where kernels' launches dominate
and 35 % is reached: 0.79 ms. KV 114,688 bytes a token at 75 %: 35.6 ns. Prompts at 791,000 tokens
a second, 55 % reached: 2.3 µs. A row: 2 µs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.cost_model import Coefficients
from engine.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Something that steps could run on.

    Attributes:
        name: Of the preset, or of the file.
        coefficients: What a step costs.
        kv_cache_tokens: KV budget in tokens.
        max_num_seqs: Rows in a batch.
        max_num_batched_tokens: New tokens in a step.
        itl_target_s: Between two tokens.
        origin: Where the figures come from.
    """

    name: str
    coefficients: Coefficients
    kv_cache_tokens: int = 131_072
    max_num_seqs: int = 64
    max_num_batched_tokens: int = 512
    itl_target_s: float = 0.05
    origin: str = ""


MACHINES = {
    machine.name: machine
    for machine in (
        Machine(
            name="two-core-demo",
            coefficients=Coefficients(3.7e-3, 2.9e-4, 4.5e-5, 3e-8),
            kv_cache_tokens=65_536,
            max_num_seqs=32,
            origin="two cores of an AMD EPYC, the demo model; from docs/benchmarks/README.md",
        ),
        Machine(
            name="two-core-s",
            coefficients=Coefficients(1.55e-2, 9.5e-4, 2.6e-4, 3e-8),
            kv_cache_tokens=65_536,
            max_num_seqs=32,
            itl_target_s=0.1,
            origin="two cores of an AMD EPYC, 42M random weights; from docs/benchmarks",
        ),
        Machine(
            name="h200-8b",
            coefficients=Coefficients(4.65e-3, 8e-6, 3.1e-5, 4.06e-8),
            kv_cache_tokens=200_000,
            max_num_seqs=256,
            max_num_batched_tokens=2048,
            itl_target_s=0.05,
            origin="derived: H200 at 4.3 TB/s and 790 TFLOP/s, Llama-3.1-8B in bfloat16, 30 % of "
            "the memory for weights and KV as in TokenFlow's set-up",
        ),
        Machine(
            name="h200-0.6b",
            coefficients=Coefficients(7.9e-4, 2e-6, 2.3e-6, 3.56e-8),
            kv_cache_tokens=900_000,
            max_num_seqs=256,
            max_num_batched_tokens=4096,
            itl_target_s=0.02,
            origin="derived: H200 at 4.3 TB/s and 790 TFLOP/s, Qwen3-0.6B in bfloat16",
        ),
    )
}


def find_machine(name_or_file: str) -> Machine:
    """Return a preset, or a machine from a JSON file such as ``tools.bench_policies`` writes.

    Raises:
        ConfigError: There is no such preset and no such file, or the file does not fit.
    """
    if name_or_file in MACHINES:
        return MACHINES[name_or_file]
    path = Path(name_or_file)
    if not path.is_file():
        raise ConfigError(
            f"cost is {name_or_file!r}; it must be one of {', '.join(MACHINES)} or a JSON file",
            param="cost",
        )
    try:
        return machine_from_json(json.loads(path.read_text(encoding="utf-8")), path.stem)
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{path} is no machine: {error}; it must hold 'coefficients' with "
            f"{', '.join(Coefficients._fields)}",
            param="cost",
        ) from None


def machine_from_json(document: dict[str, Any], name: str) -> Machine:
    """Return the machine that ``machine_as_json`` described."""
    known = {
        key: document[key]
        for key in ("kv_cache_tokens", "max_num_seqs", "max_num_batched_tokens", "itl_target_s")
        if key in document
    }
    return Machine(
        name=name,
        coefficients=Coefficients(**document["coefficients"]),
        origin=str(document.get("origin", "")),
        **known,
    )


def machine_as_json(machine: Machine) -> dict[str, Any]:
    """Return a machine as a JSON object."""
    return {
        "name": machine.name,
        "coefficients": machine.coefficients._asdict(),
        "kv_cache_tokens": machine.kv_cache_tokens,
        "max_num_seqs": machine.max_num_seqs,
        "max_num_batched_tokens": machine.max_num_batched_tokens,
        "itl_target_s": machine.itl_target_s,
        "origin": machine.origin,
    }


def seconds_per_reply(
    coefficients: Coefficients, batch: int, new_prompt_tokens: float, context: float, reply: float
) -> float:
    """Return the machine's seconds that one reply takes when ``batch`` rows share each step.

    Its inverse is the rate of replies that saturates the machine.
    """
    base_s, per_seq_s, per_new_token_s, per_kv_token_s = coefficients
    per_token = base_s / batch + per_seq_s + per_kv_token_s * context
    return per_new_token_s * new_prompt_tokens + per_token * reply
