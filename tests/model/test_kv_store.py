"""The memory of keys and values: what it holds, and how blocks are copied and cleared."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.attention.kv_store import KVStore, LayerShape, kv_bytes_per_token
from engine.config import BLOCK_SIZE

SHAPES = [LayerShape(2, 16, 8), LayerShape(1, 32, 32), LayerShape(2, 16, 8)]
DTYPES = [torch.float32, torch.bfloat16, torch.int8, torch.float8_e4m3fn]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def make_store(dtype: torch.dtype) -> KVStore:
    """Five blocks of ones; a scale and a code each tell of themselves."""
    store = KVStore(SHAPES, 5, dtype=dtype, device=torch.device("cpu"))
    for stack in store.stacks:
        stack.fill_(1)
    return store


def parts(store: KVStore) -> list[Tensor]:
    """Everything that attention is given."""
    scales = [*store.key_scales, *store.value_scales]
    return [*store.keys, *store.values, *(s for s in scales if s is not None)]


@every_dtype
def test_the_store_holds_what_its_shapes_say(dtype: torch.dtype) -> None:
    """And a token costs what it says, scales of eight bits included."""
    store = make_store(dtype)
    assert store.keys[0].shape == (5, BLOCK_SIZE, 2, 16)
    assert store.values[2].shape == (5, BLOCK_SIZE, 2, 8)
    assert store.num_blocks == 5
    assert store.num_bytes == sum(part.numel() * part.element_size() for part in parts(store))
    assert store.num_bytes == 5 * BLOCK_SIZE * kv_bytes_per_token(SHAPES, dtype)
    assert all(part.is_contiguous() for part in parts(store))


def test_eight_bits_cost_a_byte_per_number_and_two_per_scale() -> None:
    """Two heads of keys and of values."""
    assert kv_bytes_per_token([LayerShape(2, 128, 128)], torch.int8) == 2 * 256 + 2 * 2 * 2
    assert kv_bytes_per_token([LayerShape(2, 128, 128)], torch.bfloat16) == 2 * 256 * 2


@every_dtype
def test_all_sources_are_read_before_a_destination_is_written(dtype: torch.dtype) -> None:
    """A ring of blocks turns by one, in every layer, scales included."""
    store = make_store(dtype)
    for part in parts(store):
        for block in range(5):
            part[block] = block
    store.copy_blocks([(0, 1), (1, 2), (2, 0)])
    for part in parts(store):
        assert [float(part[block].double().mean()) for block in range(5)] == [2, 0, 1, 3, 4]


@every_dtype
def test_blocks_and_tails_are_cleared_and_nothing_else(dtype: torch.dtype) -> None:
    """In every layer, scales included."""
    store = make_store(dtype)
    store.clear_blocks([0, 3])
    store.clear_tail(2, 5)
    for part in parts(store):
        assert not part[[0, 3]].any()
        assert not part[2, 5:].any()
        assert (part[[1, 4]] == 1).all()
        assert (part[2, :5] == 1).all()
