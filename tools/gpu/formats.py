"""How weights and keys may be held, and what that makes of a step's floor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tools.gpu.shapes import Widths


@dataclass(frozen=True, slots=True)
class Format:
    """One of the ways.

    Attributes:
        name: In the table.
        settings: Of the engine, by the command line's names.
        widths: For the floor.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    widths: Widths = field(default_factory=Widths)


BF16 = Format("bf16", {"dtype": "bfloat16"})
DETERMINISTIC = Format("bf16, deterministic", {"dtype": "bfloat16", "deterministic": True})
FEWER_BITS = (
    Format("fp8 KV", {"kv_cache_dtype": "fp8"}, Widths(kv=1.0)),
    Format("fp8 weights", {"quantization": "fp8"}, Widths(linears=1.0, products="fp8")),
    Format(
        "fp8 weights and KV",
        {"quantization": "fp8", "kv_cache_dtype": "fp8"},
        Widths(linears=1.0, kv=1.0, products="fp8"),
    ),
    Format("int8 weights", {"quantization": "int8"}, Widths(linears=1.0, products="int8")),
    Format("int8 KV", {"kv_cache_dtype": "int8"}, Widths(kv=1.0)),
    Format(
        "int8 weights and KV",
        {"quantization": "int8", "kv_cache_dtype": "int8"},
        Widths(linears=1.0, kv=1.0, products="int8"),
    ),
)
