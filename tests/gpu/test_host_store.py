"""Blocks that leave the device and come back, in whatever time that takes."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import pytest
import torch

from engine.attention import host_store
from engine.attention.host_store import HostStore, staging_bytes
from engine.attention.kv_store import KVStore, LayerShape
from engine.attention.lanes import Lanes, lanes_of
from tests.support.slow_lanes import SlowLanes

LAYERS = [LayerShape(2, 6, 4), LayerShape(1, 3, 5)]
LARGE_LAYERS = [LayerShape(8, 128, 128)] * 16
DTYPES = [torch.float32, torch.bfloat16, torch.int8, torch.float8_e4m3fn]


def filled(num_blocks: int, dtype: torch.dtype, device: torch.device) -> KVStore:
    """A store of random bytes; a GPU's blocks are large enough to be under way for a while."""
    layers = LARGE_LAYERS if device.type == "cuda" else LAYERS
    store = KVStore(layers, num_blocks, dtype=dtype, device=device)
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
    parts = [stack[:, block].cpu().contiguous().view(torch.uint8) for stack in store.stacks]
    return [part.numpy().tobytes() for part in parts]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_block_comes_back_bit_for_bit(dtype: torch.dtype, device: torch.device) -> None:
    """In every layer, keys, values and scales, whatever their shapes, to any block."""
    store = filled(4, dtype, device)
    kept = content(store, 1)
    host = HostStore(store, 2)
    host.offload([(1, 1), (0, 0)])
    store.clear_blocks([0, 1, 2, 3])
    host.restore([(1, 3)])
    assert content(store, 3) == kept
    assert not any(map(any, content(store, 2)))


def test_no_slots_take_no_memory() -> None:
    """As on a CPU by default."""
    store = filled(4, torch.float32, torch.device("cpu"))
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
    slow = SlowLanes(rng)
    play(monkeypatch, rng, slow.lanes, torch.device("cpu"), slow.go_on)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="streams are a GPU's")
@pytest.mark.parametrize("seed", range(10))
def test_nor_do_a_gpus_own_streams_let_them(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Whose copies take as long as they take."""
    device = torch.device("cuda")

    def settle(steps: int | None = None) -> None:
        if steps is None:
            torch.cuda.synchronize(device)

    play(monkeypatch, random.Random(seed), lanes_of(device), device, settle)


def play(
    monkeypatch: pytest.MonkeyPatch,
    rng: random.Random,
    lanes: Lanes,
    device: torch.device,
    go_on: Callable[[int | None], None],
) -> None:
    """Fill, move out and move in at random; then look at every block and every slot.

    Args:
        monkeypatch: Makes buffers so small that moves go in parts.
        rng: Chooses.
        lanes: What copies.
        device: Where the blocks are.
        go_on: Lets lanes do so many pieces of work, or all.
    """
    store = filled(6, torch.int8, device)
    row = store.num_bytes // store.num_blocks
    monkeypatch.setattr(host_store, "_STAGING_BYTES", 2 * row)
    monkeypatch.setattr(host_store, "_SLAB_BYTES", 3 * row)
    host = HostStore(store, 7, lanes)
    blocks, slots = dict(enumerate(range(6))), dict[int, int]()  # by what they were filled with
    for new in range(100, 140):
        match rng.randrange(3):
            case 0:
                block = rng.randrange(6)
                lanes.computing.run(partial(fill, store, block, new))
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
        go_on(rng.randrange(6))
    go_on(None)
    found = {block: content(store, block) for block in blocks}
    for slot, seed in slots.items():
        host.restore([(slot, 0)])
        go_on(None)
        assert content(store, 0) == bytes_of(store, seed)
    for block, seed in blocks.items():
        assert found[block] == bytes_of(store, seed)


def pairs(sources: list[int], destinations: list[int]) -> list[tuple[int, int]]:
    """A list of moves."""
    return list(zip(sources, destinations, strict=True))


def bytes_of(store: KVStore, seed: int) -> list[bytes]:
    """What a block of a store holds that was filled by a seed."""
    fill(store, 0, seed)
    return content(store, 0)
