"""The compiled kernels: right for every family, and each row by itself, bit for bit."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.attention.metadata import Span
from engine.config import BLOCK_SIZE, DType, ModelConfig
from engine.decoder import pack
from engine.model.forward import Forward
from engine.model.loader import load_model
from tests.model.conftest import Load
from tests.model.driver import random_prompt
from tests.support.tiny_models import FAMILIES, make_checkpoint, make_model, save_model

UNDERSTOOD = sorted(FAMILIES)
NUM_BLOCKS = 64


def logits_of(
    forward: Forward, ids: Sequence[int], table: Sequence[int], cuts: Sequence[int]
) -> Tensor:
    """Read one sequence in chunks of these sizes and return every token's logits."""
    rows, done = [], 0
    for size in cuts:
        span = Span(done, size, array("i", table))
        out = forward.run([span], ids[done : done + size], range(size))
        assert out is not None
        rows.append(out.values)
        done += size
    assert done == len(ids)
    return torch.cat(rows)


def random_cuts(rng: random.Random, total: int) -> list[int]:
    """Cut a number into random parts."""
    cuts = []
    while total:
        cuts.append(rng.randint(1, min(total, rng.choice([1, 3, 20, 70]))))
        total -= cuts[-1]
    return cuts


@pytest.mark.parametrize("family", UNDERSTOOD)
def test_every_family_is_understood(load: Load, family: str) -> None:
    """None is named anywhere; their parts are."""
    assert load(family).forward == "native"


@pytest.mark.parametrize("family", UNDERSTOOD)
def test_long_sequences_get_transformers_logits(load: Load, family: str) -> None:
    """Beyond several windows, blocks and segments."""
    ids = random_prompt(150, seed=1)
    table = list(range(NUM_BLOCKS))
    found, expected = (
        logits_of(load(family, kernels=kernels).make_forward(NUM_BLOCKS), ids, table, [150])
        for kernels in ("auto", "torch")
    )
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.std()))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["llama", "gemma2", "mistral"])
def test_a_row_is_the_same_however_its_prompt_is_cut(load: Load, family: str, dtype: DType) -> None:
    """Bit for bit, over any blocks, with one thread or three."""
    rng = random.Random(5)
    loaded = load(family, dtype)
    ids = random_prompt(170, seed=2)
    forward = loaded.make_forward(NUM_BLOCKS)
    expected = logits_of(forward, ids, range(NUM_BLOCKS), [170])
    for num_threads in (1, 3, 2, 3):
        forward.set_num_threads(num_threads)
        table = rng.sample(range(NUM_BLOCKS), 11)
        found = logits_of(forward, ids, table, random_cuts(rng, 170))
        assert torch.equal(found, expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["qwen3", "gemma3_text", "phi3"])
def test_a_row_is_the_same_in_any_company(load: Load, family: str, dtype: DType) -> None:
    """Whoever shares its beginning, or does not; random batches of decodes and chunks."""
    rng = random.Random(7)
    loaded = load(family, dtype)
    alone = loaded.make_forward(NUM_BLOCKS)
    shared = random_prompt(8 * BLOCK_SIZE, seed=3)
    prompts = [shared + random_prompt(rng.randint(1, 40), seed=10 + i) for i in range(4)]
    prompts += [random_prompt(rng.randint(2, 90), seed=20 + i) for i in range(3)]
    expected = [logits_of(alone, ids, range(NUM_BLOCKS), [len(ids)]) for ids in prompts]
    crowd = loaded.make_forward(NUM_BLOCKS)
    crowd.set_num_threads(2)
    logits_of(crowd, shared, range(8), [len(shared)])
    free = list(range(8, NUM_BLOCKS))
    rng.shuffle(free)
    tables, done = [], []
    for index, ids in enumerate(prompts):
        done.append(len(shared) if index < 4 else 0)
        own = -(-(len(ids) - done[-1]) // BLOCK_SIZE)
        tables.append(list(range(8))[: done[-1] // BLOCK_SIZE] + [free.pop() for _ in range(own)])
    while any(d < len(ids) for d, ids in zip(done, prompts, strict=True)):
        batch = [i for i, ids in enumerate(prompts) if done[i] < len(ids) and rng.random() < 0.7]
        rng.shuffle(batch)
        spans, tokens, owners = [], [], []
        for i in batch:
            size = min(rng.choice([1, 1, 5, 30]), len(prompts[i]) - done[i])
            spans.append(Span(done[i], size, array("i", tables[i])))
            tokens += prompts[i][done[i] : done[i] + size]
            owners += [(i, done[i] + j) for j in range(size)]
            done[i] += size
        if not spans:
            continue
        out = crowd.run(spans, tokens, range(len(tokens)))
        assert out is not None
        for (i, position), row in zip(owners, out.values, strict=True):
            assert torch.equal(row, expected[i][position])


def test_the_likeliest_token_is_found_on_the_way(load: Load) -> None:
    """The first of equals, as the sampler would have found it."""
    forward = load("llama").make_forward(NUM_BLOCKS)
    span = Span(0, 30, array("i", [0, 1]))
    out = forward.run([span], random_prompt(30, seed=4), range(30))
    assert out is not None
    assert out.largest is not None
    assert out.largest.tolist() == out.values.argmax(dim=-1).tolist()


def test_no_logits_are_computed_when_none_are_asked_for(load: Load) -> None:
    """A chunk in mid-prompt ends with the last layer."""
    forward = load("llama").make_forward(NUM_BLOCKS)
    assert forward.run([Span(0, 3, array("i", [0]))], [5, 6, 7], []) is None


def test_what_lay_in_a_block_does_not_reach_its_heir(load: Load) -> None:
    """Not even when it was not a number."""
    forward = load("qwen2").make_forward(4)
    ids = random_prompt(20, seed=6)
    expected = logits_of(forward, ids, [0, 1], [20])
    for store in (*forward.store.keys, *forward.store.values):
        store.fill_(float("nan"))
    assert torch.equal(logits_of(forward, ids, [2, 3], [7, 1, 12]), expected)


def test_the_tail_of_a_copied_block_can_be_cleared(load: Load) -> None:
    """What lies behind the shared part is another sequence's."""
    forward = load("qwen2", "bfloat16").make_forward(4)
    ids = random_prompt(12, seed=8)
    expected = logits_of(forward, ids, [0], [12])
    store = forward.store
    for tensor in (*store.keys, *store.values):
        tensor[1] = float("nan")
    for position in range(5):
        forward.run([Span(position, 1, array("i", [1]))], [ids[position]], [])
    for tensor in (*store.keys, *store.values):
        assert not tensor[1].isnan().any()  # the first token of a block clears it
        tensor[1][tensor[1] == 0] = float("nan")
    store.clear_tail(1, 5)
    rest = forward.run([Span(5, 1, array("i", [1]))], ids[5:6], [0])
    assert rest is not None
    assert torch.equal(rest.values[0], expected[5])
    assert all(not tensor[1].isnan().any() for tensor in (*store.keys, *store.values))


@pytest.mark.parametrize("family", ["llama", "gemma2", "qwen2"])
def test_int8_stays_close_and_halves_the_weights(
    load: Load, tmp_path_factory: pytest.TempPathFactory, family: str
) -> None:
    """Close enough that the likeliest token is nearly always the same."""
    folder = make_checkpoint(tmp_path_factory.mktemp("int8"), family)
    loaded = load_model(
        ModelConfig(model=str(folder), device="cpu", dtype="bfloat16", quantization="int8")
    )
    whole = load(family, "bfloat16")
    ids = random_prompt(120, seed=9)
    found, expected = (
        logits_of(model.make_forward(NUM_BLOCKS), ids, range(NUM_BLOCKS), [120])
        for model in (loaded, whole)
    )
    assert loaded.weight_bytes < 0.75 * whole.weight_bytes
    assert (found.argmax(dim=-1) == expected.argmax(dim=-1)).float().mean() > 0.8


@pytest.mark.parametrize("tied", [True, False])
def test_float32_over_a_16_bit_checkpoint_gives_the_bits_of_whole_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tied: bool
) -> None:
    """From half of the memory; the embedding of a tied head included."""
    model = make_model("qwen3", tie_word_embeddings=tied).to(torch.bfloat16)
    folder = str(save_model(model, tmp_path))
    config = ModelConfig(model=folder, device="cpu", dtype="float32")
    ids = random_prompt(90, seed=1)
    light = load_model(config)
    monkeypatch.setattr(pack, "halved", lambda weight: weight)
    whole = load_model(config)
    assert (light.forward, whole.forward) == ("native", "native")
    assert light.weight_bytes < 0.7 * whole.weight_bytes
    logits = [logits_of(loaded.make_forward(8), ids, range(8), [90]) for loaded in (light, whole)]
    assert torch.equal(logits[0], logits[1])
