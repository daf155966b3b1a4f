"""The largest steps are run, read, and left room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pytest
import torch

from engine.attention.metadata import Span
from engine.config import BLOCK_SIZE, SchedulerConfig
from engine.errors import ConfigError
from engine.gpu.attention.work_list import STRETCH
from engine.model.forward import Forward, Logits
from engine.model.loader import LoadedModel
from engine.model.runner import ModelRunner
from engine.model.worst_case import (
    MemoryUse,
    attention_bytes,
    bytes_beside_steps,
    measure_largest_steps,
    taken,
)

Load = Callable[..., LoadedModel]
LIMITS = SchedulerConfig(max_num_seqs=6, max_num_batched_tokens=40)


class Watched:
    """A forward that notes what it is asked to compute."""

    def __init__(self, forward: Forward, seen: list[tuple[int, int]]) -> None:
        self._forward, self._seen = forward, seen
        self.store, self.draw = forward.store, forward.draw
        self.set_num_threads = forward.set_num_threads

    def run(
        self, spans: Sequence[Span], token_ids: Sequence[int], logit_rows: Sequence[int]
    ) -> Logits | None:
        self._seen.append((len(token_ids), len(logit_rows)))
        return self._forward.run(spans, token_ids, logit_rows)


def steps_of(
    loaded: LoadedModel, limits: SchedulerConfig, max_model_len: int
) -> list[tuple[int, int]]:
    """Run the largest steps; return the tokens and logit rows of each."""
    seen: list[tuple[int, int]] = []
    watched = replace(loaded, make_forward=lambda n: Watched(loaded.make_forward(n), seen))
    idle = MemoryUse(free=10**9, held=0, most_held=0)
    measure_largest_steps(partial(ModelRunner, watched), limits, max_model_len, lambda: idle)
    return seen


def test_prompts_fill_a_step_and_everybody_samples(load: Load) -> None:
    """In the step that ends all prompts and in the next, often enough for a graph of each."""
    assert steps_of(load("llama"), LIMITS, 512) == [(40, 6)] * 3 + [(6, 6)] * 3


def test_more_replies_than_tokens_fit_are_never_in_a_step(load: Load) -> None:
    """One token each is the most."""
    limits = SchedulerConfig(max_num_seqs=64, max_num_batched_tokens=5)
    assert steps_of(load("llama"), limits, 512) == [(5, 5)] * 6


def test_no_sequence_is_longer_than_the_context(load: Load) -> None:
    """Which leaves tokens for the reply."""
    limits = SchedulerConfig(max_num_seqs=2, max_num_batched_tokens=100)
    assert steps_of(load("llama"), limits, 20) == [(34, 2)] * 3 + [(2, 2)] * 3
    assert steps_of(load("llama"), limits, 2) == [(2, 2), (2, 2)]


def test_what_torch_peaks_at_and_what_others_keep_is_taken() -> None:
    """Torch went from 10 to 70 and back to 30; 5 are gone to nobody it knows."""
    before = MemoryUse(free=90, held=10, most_held=10)
    assert taken(before, MemoryUse(free=65, held=30, most_held=70)) == 60 + 5
    assert taken(before, MemoryUse(free=95, held=10, most_held=10)) == 0  # others gave some back


def test_what_attention_leaves_grows_with_the_context_until_steps_are_not_captured() -> None:
    """Results of 128 numbers and one more, of 32 heads, once as they come and once captured."""
    row = 32 * 129 * 4
    assert attention_bytes(32, 128, 64, STRETCH) == 64 * (1 + 4) * row
    assert attention_bytes(32, 128, 64, STRETCH + 1) == 2 * 64 * (1 + 4) * row
    assert attention_bytes(32, 128, 512, 1000 * STRETCH) == (512_000 + 65_536) * row


@pytest.mark.parametrize("context", [512, 64])
def test_kv_is_shared_out_beside_all_that(load: Load, context: int) -> None:
    """What is free for it fits together with the largest step; a block more does not."""
    loaded = replace(load("llama"), max_model_len=context)
    readings = iter([MemoryUse(10**8, 0, 0), MemoryUse(5 * 10**7, 10**7, 2 * 10**7)])
    free = bytes_beside_steps(
        loaded, LIMITS, partial(ModelRunner, loaded), lambda: next(readings), kept_bytes=10**6
    )
    step = 2 * 10**7 + 4 * 10**7 + 10**6
    step += attention_bytes(loaded.num_heads, loaded.layers[0].value_dim, 40, context)
    assert free <= 10**8 - step < free + BLOCK_SIZE * loaded.kv_bytes_per_token


def test_steps_that_do_not_fit_are_refused_with_the_way_out() -> None:
    """A card that is too small is told of at start."""

    def no_room(num_blocks: int) -> ModelRunner:
        raise torch.OutOfMemoryError("CUDA out of memory")

    use = MemoryUse(free=123, held=0, most_held=0)
    with pytest.raises(ConfigError, match=r"40 tokens and 6 replies .* 123 bytes .* lower"):
        measure_largest_steps(no_room, LIMITS, 512, lambda: use)
