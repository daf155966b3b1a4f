"""Models of published shapes with random weights, and what a decode step of them takes at least."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.bench.machine import Limits, ModelShape
from tools.bench.models import write
from tools.gpu.options import Options

CONTEXT = 16_384
"""Longest sequence of every one of them; more than anything here asks for."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A model.

    Attributes:
        name: As people call it.
        model_type: transformers' name of its family.
        settings: Of its configuration.
    """

    name: str
    model_type: str
    settings: dict[str, Any]

    @property
    def layer_products(self) -> list[tuple[int, int]]:
        """Outputs and inputs of a layer's merged products."""
        of = self.settings
        hidden, wide, dim = of["hidden_size"], of["intermediate_size"], of["head_dim"]
        heads, kv_heads = of["num_attention_heads"], of["num_key_value_heads"]
        return [
            ((heads + 2 * kv_heads) * dim, hidden),
            (hidden, heads * dim),
            (2 * wide, hidden),
            (hidden, wide),
        ]

    @property
    def num_bytes(self) -> int:
        """Of its weights in 16 bits, norms left out."""
        of = self.settings
        tables = of["vocab_size"] * of["hidden_size"] * (1 if of["tie_word_embeddings"] else 2)
        layers = of["num_hidden_layers"] * sum(n * k for n, k in self.layer_products)
        return int(2 * (layers + tables))


def _settings(
    layers: int, hidden: int, heads: int, kv_heads: int, dim: int, wide: int, vocab: int, tied: bool
) -> dict[str, Any]:
    return {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": dim,
        "intermediate_size": wide,
        "vocab_size": vocab,
        "tie_word_embeddings": tied,
    }


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("Qwen3-0.6B", "qwen3", _settings(28, 1024, 16, 8, 128, 3072, 151_936, True)),
        Shape("Llama-3.2-1B", "llama", _settings(16, 2048, 32, 8, 64, 8192, 128_256, True)),
        Shape("Llama-3.1-8B", "llama", _settings(32, 4096, 32, 8, 128, 14_336, 128_256, False)),
    )
}
TINY = Shape("tiny", "qwen3", _settings(2, 64, 4, 2, 16, 96, 10_016, True))


def shapes(options: Options) -> list[Shape]:
    """Return those that are measured, the smallest first."""
    return [TINY] if options.tiny else list(SHAPES.values())


def smallest(options: Options) -> Shape:
    """Return the one whose steps are the hardest on the host."""
    return shapes(options)[0]


def largest(options: Options) -> Shape:
    """Return the one whose steps are the hardest on the card."""
    return shapes(options)[-1]


def checkpoint(shape: Shape, options: Options) -> Path:
    """Return the folder of a shape's checkpoint; written at its first use."""
    import torch
    from transformers import AutoConfig

    folder = options.folder / shape.name
    if not (folder / "config.json").is_file():
        config = AutoConfig.for_model(
            shape.model_type,
            **shape.settings,
            max_position_embeddings=CONTEXT,
            eos_token_id=None,
            bos_token_id=None,
            pad_token_id=None,
        )
        write(folder, config, device="cuda" if torch.cuda.is_available() else "cpu")
    return folder


@dataclass(frozen=True, slots=True)
class Widths:
    """Bytes per number.

    Attributes:
        linears: Of the layers' weights.
        kv: Of keys and values.
        products: What the layers multiply in, as ``tools.gpu.limits`` names it.
    """

    linears: float = 2.0
    kv: float = 2.0
    products: str = "bf16"


def serial_floor_s(
    model: ModelShape, widths: Widths, limits: dict[str, Limits], rows: int, num_kv_tokens: float
) -> float:
    """Return what a decode step takes at least, if attention waits for products and they for it.

    The larger of two times, weights read once at the measured bandwidth and products at the
    measured rate, plus the time that keys and values take. The output projection stays in 16 bits.
    Where the rate for a kind of product is not known, that of 16 bits is taken.

    Args:
        model: Its shape, with 16-bit weights.
        widths: As it is held.
        limits: By what is multiplied.
        rows: Sequences.
        num_kv_tokens: Tokens whose keys and values are read, a shared beginning once.
    """
    bf16 = limits["bf16"]
    weights = model.body_parameters * widths.linears + model.head_parameters * 2
    body_s = 2 * model.body_parameters * rows / limits.get(widths.products, bf16).flops
    products_s = body_s + 2 * model.head_parameters * rows / bf16.flops
    kv = num_kv_tokens * model.kv_bytes_per_token * widths.kv / 2
    return max(weights / bf16.bandwidth, products_s) + kv / bf16.bandwidth
