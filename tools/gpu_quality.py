"""Tells what fewer bits cost on a GPU, beside the same model as it is.

Runs the same texts through the GPU's kernels, once in the model's own type and once for each
variant: `kv=fp8` and `kv=int8` keep keys and values in eight bits, `weights=...` holds weights as
the engine's `quantization` names it, `kv=fp8+weights=int8` does both. The texts are dialogues that
the demo character was not trained on, or a file of your own. With TRITON_INTERPRET=1 no GPU is
needed; a few tokens of a tiny model take seconds then.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from engine.config import BLOCK_SIZE, KVCacheDType, ModelConfig, Quantization
from engine.model.bodies import gpu_body
from engine.model.checkpoint import read_config, read_weights
from engine.model.checks import model_context
from engine.model.forward import Forward
from engine.model.probe import probe_layers
from tools.bench.distributions import (
    WINDOW,
    Quality,
    Text,
    compare,
    dialogues,
    logits_of,
    windows,
)

_DEMO_MODEL = "configs/models/kaiwa-demo"


@dataclass(frozen=True, slots=True)
class Variant:
    """How a model is held.

    Attributes:
        kv: What keys and values are kept in.
        weights: What weights are held in; ``None`` for the model's own type.
    """

    kv: KVCacheDType = "auto"
    weights: Quantization | None = None

    @classmethod
    def parse(cls, text: str) -> Variant:
        """Read ``kv=fp8+weights=int8``.

        Raises:
            ValueError: It is not of this form, or names what is not there.
        """
        known = {"kv": get_args(KVCacheDType), "weights": get_args(Quantization)}
        found = dict[str, str]()
        for part in text.split("+"):
            name, _, value = part.partition("=")
            if value not in known.get(name, ()) or name in found:
                choices = " or ".join(f"{k}={'|'.join(v)}" for k, v in known.items())
                raise ValueError(f"{part!r} of variant {text!r} must be {choices}")
            found[name] = value
        return cls(**found)  # type: ignore[arg-type]


def make_forward(folder: Path, variant: Variant, window: int) -> Forward:
    """Read a checkpoint onto the GPU's kernels, with memory for one text."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    hf_config = read_config(folder)
    model = read_weights(folder, hf_config, dtype, device, lambda share: None)
    _, traits = probe_layers(model)
    config = ModelConfig(model=str(folder), quantization=variant.weights)
    context = min(window, model_context(hf_config) or window)
    body = gpu_body(model, traits, config, device, context, None, kv_cache_dtype=variant.kv)
    return body.make_forward(-(-window // BLOCK_SIZE))


def qualities(
    folder: Path, texts: Sequence[Text], variants: Sequence[Variant], window: int
) -> list[Quality]:
    """Compare each variant with the first."""
    reference: list[Tensor] = []
    found = []
    for variant in variants:
        forward = make_forward(folder, variant, window)
        with torch.inference_mode():
            logits = [logits_of(forward, text.ids) for text in texts]
        reference = reference or logits
        found.append(compare(texts, reference, logits))
    return found


def main(argv: list[str] | None = None) -> int:
    """Compare, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.gpu_quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option("--model", type=Path, default=Path(_DEMO_MODEL), help="checkpoint folder (%(default)s)")
    option("--text", type=Path, help="a file to read instead of the demo's dialogues")
    option("--count", type=int, default=100, help="texts (%(default)s)")
    option("--window", type=int, default=WINDOW, help="tokens of a text at most (%(default)s)")
    option("--variants", default="kv=fp8,kv=int8", help="with commas between (%(default)s)")
    option("--json", type=Path, help="where to write the figures")
    options = parser.parse_args(argv)
    if not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
        parser.error("there is no GPU; set TRITON_INTERPRET=1 to have a tiny model interpreted")
    try:
        asked = [Variant.parse(text) for text in options.variants.split(",")]
    except ValueError as error:
        parser.error(str(error))
    if options.text:
        texts = list(windows(options.model, options.text, options.count, options.window))
    else:
        texts = list(dialogues(options.model, options.count, options.window))
    names = ["as it is", *options.variants.split(",")]
    found = qualities(options.model, texts, [Variant(), *asked], options.window)
    print(f"{options.model}: {sum(sum(t.counts) for t in texts)} tokens of {len(texts)} texts")
    for name, quality in zip(names, found, strict=True):
        print(
            f"{name:24} KL divergence {quality.kl_divergence:.2g} "
            f"(99 % below {quality.kl_worst:.2g}), same likeliest {quality.greedy:.2%}, "
            f"perplexity {quality.perplexity:.3f}"
        )
    if options.json:
        figures = {name: asdict(quality) for name, quality in zip(names, found, strict=True)}
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
