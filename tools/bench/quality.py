"""`kaiwa bench quality`: what fewer bits cost, in what is said, in memory and in time.

Runs the same texts through a model with float32, bfloat16 and int8 arithmetic, and compares the
distributions of next tokens with those of float32. The texts are dialogues that the demo character
was not trained on, of which its own words count, or a file of your own, of which all do.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from engine.config import BLOCK_SIZE, DType, ModelConfig, Quantization
from engine.model.loader import LoadedModel, load_model
from engine.model.threads import available_cores, prepare_stepping_thread
from tools.bench.distributions import WINDOW, compare, dialogues, logits_of, windows
from tools.bench.machine import median_s
from tools.bench.models import find_or_make
from tools.bench.profile import works
from tools.bench.report import table_console

_KINDS: tuple[tuple[str, DType, Quantization | None], ...] = (
    ("float32", "float32", None),
    ("bfloat16", "bfloat16", None),
    ("int8", "bfloat16", "int8"),
)


def decode_ms(loaded: LoadedModel) -> float:
    """Return what a decode step of 16 rows takes, with contexts of 288 tokens, 192 shared."""
    forward = loaded.make_forward(1024)
    forward.set_num_threads(available_cores())
    work = next(work for work in works(288, 192, 1024) if work.num_tokens == 16)
    return 1e3 * median_s(lambda: forward.run(work.spans, [5] * 16, range(16)))


def main(argv: list[str] | None = None) -> int:
    """Load the model once for each kind of arithmetic, compare, print."""
    parser = argparse.ArgumentParser(
        prog="kaiwa bench quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option("--model", default="configs/models/kaiwa-demo", help="checkpoint folder (%(default)s)")
    option("--text", type=Path, help="a file to read instead of the demo's dialogues")
    option("--count", type=int, default=100, help="texts of at most 512 tokens (%(default)s)")
    options = parser.parse_args(sys.argv[1:] if argv is None else argv)
    model = Path(find_or_make(options.model))
    source = (
        windows(model, options.text, options.count)
        if options.text
        else dialogues(model, options.count)
    )
    texts = list(source)
    prepare_stepping_thread()
    count = sum(sum(text.counts) for text in texts)
    table = Table(title=f"{options.model}: {count} tokens of {len(texts)} texts")
    for column in (
        "arithmetic",
        "KL divergence",
        "99 % below",
        "same likeliest",
        "perplexity",
        "weights MB",
        "16 rows ms",
    ):
        table.add_column(column, justify="right")
    reference: list[Tensor] = []
    for name, dtype, quantization in _KINDS:
        loaded = load_model(
            ModelConfig(model=str(model), dtype=dtype, device="cpu", quantization=quantization)
        )
        forward = loaded.make_forward(WINDOW // BLOCK_SIZE)
        forward.set_num_threads(available_cores())
        console = Console(stderr=True)
        found = [
            logits_of(forward, text.ids)
            for text in track(texts, name, console=console, transient=True)
        ]
        reference = reference or found
        quality = compare(texts, reference, found)
        table.add_row(
            name,
            f"{quality.kl_divergence:.2g}",
            f"{quality.kl_worst:.2g}",
            f"{quality.greedy:.2%}",
            f"{quality.perplexity:.3f}",
            f"{loaded.weight_bytes / 1e6:.1f}",
            f"{decode_ms(loaded):.2f}",
        )
    table_console().print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
