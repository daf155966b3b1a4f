"""A short forward through paged attention, compared with the model as transformers wrote it.

A family that computes something our attention does not know of (a bias, a mask of its own, a state
carried from token to token) loads without complaint and then answers nonsense. This finds it before
the first request does.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.attention.interface import ATTENTION_NAME
from engine.attention.kv_store import KVStore, LayerShape
from engine.config import BLOCK_SIZE
from engine.errors import EngineError, SelfCheckFailed
from engine.model.packed import packed_forward

_NUM_TOKENS = 24
_LONGEST_WINDOW = 128
_CHUNKS = ((5, 1, 7, 1, 2, 9), (1, 11, 3, 1))
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.04}
"""Largest root mean square difference of logits, as a share of the logits' own spread, for a model
of one layer; it grows with the square root of their number.

Measured on random models: float32 3e-6 at 28 layers; bfloat16 0.02 at 3 layers and 0.07 at 28,
about as much as transformers' own two attentions differ from each other. A forgotten window or
scale makes 0.2 and more.
"""
_LARGEST_TOLERANCE = 0.3


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    num_tokens: int
    block_table: list[int]


@torch.inference_mode()
def run_self_check(model: Any, layers: Sequence[LayerShape], *, max_model_len: int) -> float:
    """Compare paged and untouched logits of every token of two short sequences.

    The sequences run side by side, in chunks of odd sizes, over shuffled blocks. Afterwards the
    model is as it was before.

    Args:
        model: A transformers causal language model with its own attention.
        layers: What each layer stores.
        max_model_len: The check goes no further than this.

    Returns:
        The difference found, as a share of the logits' spread.

    Raises:
        SelfCheckFailed: The difference exceeds what rounding explains.
    """
    before = model.config._attn_implementation
    sequences = _sequences(model, layers, max_model_len)
    expected = [_untouched(model, ids) for ids in sequences]
    model.set_attn_implementation(ATTENTION_NAME)
    try:
        found = _paged(model, layers, sequences)
    except EngineError:
        raise
    except Exception as error:
        raise SelfCheckFailed(
            f"{type(model).__name__} does not run with paged attention ({error}); "
            "this family is not supported"
        ) from error
    finally:
        model.set_attn_implementation(before)
    worst = max(_difference(a, b) for a, b in zip(expected, found, strict=True))
    tolerance = min(_TOLERANCE[model.dtype] * len(layers) ** 0.5, _LARGEST_TOLERANCE)
    if not worst <= tolerance:
        raise SelfCheckFailed(
            f"{type(model).__name__} with paged attention differs from the untouched model by "
            f"{worst:.2g} of the logits' spread where {tolerance:.2g} is allowed; "
            "this family is not supported"
        )
    return worst


def _sequences(model: Any, layers: Sequence[LayerShape], max_model_len: int) -> list[list[int]]:
    """Pseudo-random ids, long enough to leave a small window behind."""
    windows = [s.window for s in layers if s.window is not None and s.window <= _LONGEST_WINDOW]
    length = min(max([_NUM_TOKENS, *(window + 9 for window in windows)]), max_model_len)
    rng = random.Random(20261123)
    vocab = int(model.config.vocab_size)
    return [[rng.randrange(vocab) for _ in range(n)] for n in (length, max(1, length - 3))]


def _untouched(model: Any, ids: Sequence[int]) -> Tensor:
    tokens = torch.tensor([ids], dtype=torch.int64, device=model.device)
    logits: Tensor = model(input_ids=tokens, use_cache=False).logits[0]
    return logits.float()


def _paged(
    model: Any, layers: Sequence[LayerShape], sequences: Sequence[Sequence[int]]
) -> list[Tensor]:
    tables = _shuffled_tables([len(ids) for ids in sequences])
    store = KVStore(
        layers,
        sum(len(table) for table in tables) + 1,
        dtype=model.dtype,
        device=model.device,
    )
    done = [0] * len(sequences)
    logits: list[list[Tensor]] = [[] for _ in sequences]
    step = 0
    while any(d < len(ids) for d, ids in zip(done, sequences, strict=True)):
        pieces: list[_Piece] = []
        ids: list[int] = []
        owners: list[int] = []
        for owner, sequence in enumerate(sequences):
            size = _CHUNKS[owner % len(_CHUNKS)][step % len(_CHUNKS[owner % len(_CHUNKS)])]
            size = min(size, len(sequence) - done[owner])
            if size > 0:
                pieces.append(_Piece(done[owner], size, tables[owner]))
                ids.extend(sequence[done[owner] : done[owner] + size])
                owners.extend([owner] * size)
                done[owner] += size
        out = packed_forward(model, store, pieces, ids, range(len(ids)))
        assert out is not None
        for owner, row in zip(owners, out, strict=True):
            logits[owner].append(row)
        step += 1
    return [torch.stack(rows).float() for rows in logits]


def _shuffled_tables(lengths: Sequence[int]) -> list[list[int]]:
    needed = [-(-length // BLOCK_SIZE) for length in lengths]
    blocks = list(range(1, sum(needed) + 1))
    random.Random(7).shuffle(blocks)
    tables = []
    for count in needed:
        tables.append(blocks[:count])
        blocks = blocks[count:]
    return tables


def _difference(expected: Tensor, found: Tensor) -> float:
    spread = (expected - expected.mean(dim=-1, keepdim=True)).square().mean().sqrt()
    error = (found - expected).square().mean().sqrt()
    return float(error / spread.clamp_min(1e-12))
