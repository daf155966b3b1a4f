"""A short forward through what will serve, compared with the model as transformers wrote it.

A family that computes something our attention does not know of (a bias, a mask of its own, a state
carried from token to token) loads without complaint and then answers nonsense. This finds it before
the first request does.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.attention.kv_store import LayerShape
from engine.attention.metadata import Span
from engine.config import BLOCK_SIZE
from engine.errors import EngineError, SelfCheckFailed
from engine.model.forward import Forward

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


class SelfCheck:
    """What the untouched model says of every token of two short sequences.

    Args:
        model: A transformers causal language model with its own attention.
        layers: What each layer stores.
        max_model_len: The check goes no further than this.
    """

    @torch.inference_mode()
    def __init__(self, model: Any, layers: Sequence[LayerShape], *, max_model_len: int) -> None:
        self._name = type(model).__name__
        self._dtype = model.dtype
        self._num_layers = len(layers)
        self._sequences = _sequences(model, layers, max_model_len)
        self._expected = [_untouched(model, ids) for ids in self._sequences]

    @torch.inference_mode()
    def compare(
        self, make_forward: Callable[[int], Forward], *, tolerance: float | None = None
    ) -> Agreement:
        """Compare a forward's logits with the untouched model's.

        The sequences run side by side, in chunks of odd sizes, over shuffled blocks.

        Args:
            make_forward: Given a number of blocks, returns what is to be checked.
            tolerance: Largest difference; ``None`` for what rounding explains.

        Raises:
            SelfCheckFailed: It does not run, or the difference is larger.
        """
        try:
            found = _paged(make_forward, self._sequences)
        except EngineError:
            raise
        except Exception as error:
            raise SelfCheckFailed(
                f"{self._name} does not run with paged attention ({error}); "
                "this family is not supported"
            ) from error
        if tolerance is None:
            tolerance = min(_TOLERANCE[self._dtype] * self._num_layers**0.5, _LARGEST_TOLERANCE)
        pairs = list(zip(self._expected, found, strict=True))
        worst = max(_difference(a, b) for a, b in pairs)
        if not worst <= tolerance:
            raise SelfCheckFailed(
                f"{self._name} with paged attention differs from the untouched model by "
                f"{worst:.2g} of the logits' spread where {tolerance:.2g} is allowed; "
                "this family is not supported"
            )
        return _agreement(pairs, worst)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How much two models agree.

    Attributes:
        difference: Root mean square of the logits' difference, as a share of their spread.
        kl_divergence: Mean over tokens, in nats, of the untouched model from the other.
        greedy: Share of tokens after which both find the same one likeliest.
    """

    difference: float
    kl_divergence: float
    greedy: float


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
    make_forward: Callable[[int], Forward], sequences: Sequence[Sequence[int]]
) -> list[Tensor]:
    tables = _shuffled_tables([len(ids) for ids in sequences])
    forward = make_forward(sum(len(table) for table in tables) + 1)
    done = [0] * len(sequences)
    logits: list[list[Tensor]] = [[] for _ in sequences]
    step = 0
    while any(d < len(ids) for d, ids in zip(done, sequences, strict=True)):
        spans: list[Span] = []
        ids: list[int] = []
        owners: list[int] = []
        for owner, sequence in enumerate(sequences):
            size = _CHUNKS[owner % len(_CHUNKS)][step % len(_CHUNKS[owner % len(_CHUNKS)])]
            size = min(size, len(sequence) - done[owner])
            if size > 0:
                spans.append(Span(done[owner], size, array("i", tables[owner])))
                ids.extend(sequence[done[owner] : done[owner] + size])
                owners.extend([owner] * size)
                done[owner] += size
        out = forward.run(spans, ids, range(len(ids)))
        assert out is not None
        for owner, row in zip(owners, out.values, strict=True):
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


def _agreement(pairs: Sequence[tuple[Tensor, Tensor]], worst: float) -> Agreement:
    expected, found = (torch.cat(rows) for rows in zip(*pairs, strict=True))
    wanted = torch.log_softmax(expected, dim=-1)
    divergence = (wanted.exp() * (wanted - torch.log_softmax(found, dim=-1))).sum(dim=-1).mean()
    same = (expected.argmax(dim=-1) == found.argmax(dim=-1)).float().mean()
    return Agreement(worst, float(divergence), float(same))
