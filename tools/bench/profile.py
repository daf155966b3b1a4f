"""`kaiwa bench profile`: where a step's time goes on a CPU, part by part, beside its floor.

Times decode steps of several batches (contexts that begin alike) and one prompt chunk. The floor of
a step is the larger of two times: its weights and keys read once at the bandwidth measured here,
and its products at the rate measured here, both with torch.
"""

from __future__ import annotations

import argparse
import sys
from array import array
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from engine.attention.metadata import Span
from engine.config import BLOCK_SIZE, ModelConfig
from engine.model.loader import LoadedModel, load_model
from engine.model.native_forward import NativeForward
from engine.model.threads import available_cores, prepare_stepping_thread
from engine.native.structs import PARTS
from tools.bench.machine import Limits, measure_limits, median_s
from tools.bench.models import find_or_make
from tools.bench.report import table_console

_ROUNDS = 9


@dataclass(frozen=True)
class Work:
    """What a step has to do at least.

    Attributes:
        name: For the table.
        spans: The sequences.
        num_read_tokens: Tokens whose keys and values are read, a shared beginning once.
    """

    name: str
    spans: list[Span]
    num_read_tokens: int

    @property
    def num_tokens(self) -> int:
        """New tokens."""
        return sum(span.num_tokens for span in self.spans)


def works(context: int, shared: int, num_blocks: int) -> list[Work]:
    """Decodes of growing batches over contexts that begin alike, and a prompt chunk."""
    found = []
    prefix = list(range(shared // BLOCK_SIZE))
    own = -(-(context + 1) // BLOCK_SIZE) - len(prefix)
    for batch in (1, 4, 16, 32, 64):
        if len(prefix) + batch * own > num_blocks:
            break
        first = len(prefix)
        spans = [
            Span(
                context, 1, array("i", prefix + list(range(first + i * own, first + (i + 1) * own)))
            )
            for i in range(batch)
        ]
        found.append(Work(f"decode {batch}", spans, shared + batch * (context - shared)))
    chunk = 256
    table = array("i", range(-(-(shared + chunk) // BLOCK_SIZE)))
    found.append(Work(f"prompt {chunk}", [Span(shared, chunk, table)], shared))
    return found


def main(argv: list[str] | None = None) -> int:
    """Load, step, print."""
    parser = argparse.ArgumentParser(
        prog="kaiwa bench profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="s", help="folder, or s, m100, m (%(default)s)")
    parser.add_argument("--quantization", choices=["int8"], help="as the checkpoint is, if none")
    parser.add_argument("--dtype", default="auto", help="(%(default)s)")
    parser.add_argument("--context", type=int, default=288, help="tokens (%(default)s)")
    parser.add_argument("--shared", type=int, default=192, help="of them (%(default)s)")
    options = parser.parse_args(sys.argv[1:] if argv is None else argv)
    prepare_stepping_thread()
    loaded = load_model(
        ModelConfig(
            model=find_or_make(options.model),
            dtype=options.dtype,
            device="cpu",
            quantization=options.quantization,
        )
    )
    forward = loaded.make_forward(1024)
    if not isinstance(forward, NativeForward):
        raise SystemExit("this model does not run on the compiled kernels")
    forward.set_num_threads(available_cores())
    for store in (*forward.store.keys, *forward.store.values):
        store.uniform_(-1, 1)
    limits = measure_limits()
    table = Table(title=f"{options.model}: ms per step; the machine's limits are {limits}")
    for column in ("step", "ms", "tokens/s", "floor ms", "of it", *PARTS):
        table.add_column(column, justify="right")
    for work in works(options.context, options.shared, 1024):
        table.add_row(*_row(work, loaded, forward, limits))
    table_console().print(table)
    return 0


def _row(work: Work, loaded: LoadedModel, forward: NativeForward, limits: Limits) -> list[str]:
    tokens = [5] * work.num_tokens
    rows = list(np.cumsum([span.num_tokens for span in work.spans]) - 1)
    seconds = median_s(lambda: forward.run(work.spans, tokens, rows))
    books = np.zeros(len(PARTS))
    forward.kernels.seconds = books
    for _ in range(_ROUNDS):
        forward.run(work.spans, tokens, rows)
    forward.kernels.seconds = None
    moved = loaded.weight_bytes + work.num_read_tokens * loaded.kv_bytes_per_token
    head = forward.spec.vocab * forward.spec.hidden
    computed = 2 * (loaded.num_parameters - head) * work.num_tokens + 2 * head * len(rows)
    floor = max(moved / limits.bandwidth, computed / limits.flops)
    return [
        work.name,
        f"{1e3 * seconds:.1f}",
        f"{work.num_tokens / seconds:.0f}",
        f"{1e3 * floor:.1f}",
        f"{floor / seconds:.0%}",
        *(f"{1e3 * part / _ROUNDS:.2f}" for part in books),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
