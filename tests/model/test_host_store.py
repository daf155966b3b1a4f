"""Blocks that leave the device and come back."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.attention import host_store
from engine.attention.host_store import HostStore, staging_bytes
from engine.attention.kv_store import KVStore, LayerShape
from engine.core import EngineCore
from engine.llm import LLM
from engine.request import Service, make_request
from engine.sampling_params import SamplingParams
from tests.model.driver import greedy_reference, random_prompt
from tests.support.slow_lanes import SlowLanes

LAYERS = [LayerShape(2, 6, 4), LayerShape(1, 3, 5)]
CPU = torch.device("cpu")
DTYPES = [torch.float32, torch.bfloat16, torch.int8, torch.float8_e4m3fn]


def filled(num_blocks: int, dtype: torch.dtype) -> KVStore:
    """A store of random bytes."""
    store = KVStore(LAYERS, num_blocks, dtype=dtype, device=CPU)
    for block in range(num_blocks):
        fill(store, block, seed=block)
    return store


def fill(store: KVStore, block: int, seed: int) -> None:
    """Put random bytes into a block of every layer, scales included."""
    generator = torch.Generator().manual_seed(seed)
    for stack in store.stacks:
        part = stack[:, block].view(torch.uint8)
        part.copy_(torch.randint(256, part.shape, generator=generator, dtype=torch.uint8))


def content(store: KVStore, block: int) -> list[bytes]:
    """A block's bytes."""
    return [
        stack[:, block].contiguous().view(torch.uint8).numpy().tobytes() for stack in store.stacks
    ]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_block_comes_back_bit_for_bit(dtype: torch.dtype) -> None:
    """In every layer, keys, values and scales, whatever their shapes, to any block."""
    store = filled(4, dtype)
    kept = content(store, 1)
    host = HostStore(store, 2)
    host.offload([(1, 1), (0, 0)])
    store.clear_blocks([0, 1, 2, 3])
    host.restore([(1, 3)])
    assert content(store, 3) == kept
    assert not any(map(any, content(store, 2)))


def test_no_slots_take_no_memory() -> None:
    """As on a CPU by default."""
    store = KVStore(LAYERS, 4, dtype=torch.float32, device=CPU)
    assert HostStore(store, 0).num_bytes == 0
    assert staging_bytes(1000, 0) == 0


def test_staging_is_bounded_and_holds_at_least_a_block() -> None:
    """Two buffers in each direction, as large as what there is to move or some MiB."""
    assert staging_bytes(2**20, 3) == 4 * 3 * 2**20
    assert staging_bytes(2**20, 1000) == 4 * 32 * 2**20
    assert staging_bytes(2**26, 1000) == 4 * 2**26


@pytest.mark.parametrize("seed", range(40))
def test_no_move_overtakes_another_however_slow_the_copies_are(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Slots and blocks are used again while copies of them are under way; each is what it was."""
    rng = random.Random(seed)
    store = filled(6, torch.int8)
    row = sum(len(part) for part in content(store, 0))
    monkeypatch.setattr(host_store, "_STAGING_BYTES", 2 * row)  # moves of more go in parts
    monkeypatch.setattr(host_store, "_SLAB_BYTES", 3 * row)
    slow = SlowLanes(rng)
    host = HostStore(store, 7, slow.lanes)
    blocks, slots = dict(enumerate(range(6))), dict[int, int]()  # by what they were filled with
    for new in range(100, 140):
        match rng.randrange(3):
            case 0:
                block = rng.randrange(6)
                slow.computing.run(partial(fill, store, block, new))
                blocks[block] = new
            case 1:
                count = rng.randint(1, 5)
                moves = pairs(rng.sample(range(6), count), rng.sample(range(7), count))
                host.offload(moves)
                slots |= {slot: blocks[block] for block, slot in moves}
            case 2 if slots:
                count = rng.randint(1, min(5, len(slots)))
                moves = pairs(rng.sample(sorted(slots), count), rng.sample(range(6), count))
                host.restore(moves)
                blocks |= {block: slots[slot] for slot, block in moves}
        slow.go_on(rng.randrange(6))
    slow.go_on()
    assert [content(store, block) for block in blocks] == [
        bytes_of(filling) for filling in blocks.values()
    ]
    for slot, filling in slots.items():
        host.restore([(slot, 0)])
        slow.go_on()
        assert content(store, 0) == bytes_of(filling)


def pairs(sources: list[int], destinations: list[int]) -> list[tuple[int, int]]:
    """A list of moves."""
    return list(zip(sources, destinations, strict=True))


def bytes_of(seed: int) -> list[bytes]:
    """What a block holds that was filled by a seed."""
    store = filled(1, torch.int8)
    fill(store, 0, seed)
    return content(store, 0)


@pytest.mark.slow
def test_a_conversation_that_was_moved_out_goes_on_with_the_words_of_generate(
    checkpoint: Callable[[str], Path], untouched: Callable[[str], Any]
) -> None:
    """Its blocks come back from the host, and nothing but the new tokens is computed."""
    llm = LLM(
        str(checkpoint("llama")), dtype="float32", kv_cache_tokens=160, host_cache_memory="16MiB"
    )
    first = random_prompt(100, seed=1)
    said = _turn(llm.core, "a", first, "one")[0]
    _turn(llm.core, "b", random_prompt(130, seed=2), "two")  # takes the place of the first
    again = [*first, *said, 7, 8, 9]
    reply, num_cached = _turn(llm.core, "c", again, "one")
    assert num_cached >= 96
    assert reply == greedy_reference(untouched("llama"), again, 8)


def _turn(
    core: EngineCore, name: str, prompt: list[int], conversation: str
) -> tuple[list[int], int]:
    """Have a turn answered; returns its tokens and how many of the prompt were cached."""
    params = SamplingParams(temperature=0.0, max_tokens=8, ignore_eos=True)
    core.submit([make_request(name, prompt, params, Service(conversation_id=conversation))])
    tokens: list[int] = []
    num_cached = 0
    while core.has_work:
        for output in core.step().outputs:
            tokens += output.token_ids
            num_cached = output.num_cached_tokens
        core.scheduler.check_integrity()
    return tokens, num_cached
