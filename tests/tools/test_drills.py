"""Drills copy what was said, and the planted heads look where copying looks."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from tools.demo_dialogues.copying import plant_copying
from tools.demo_dialogues.drills import drill
from tools.demo_dialogues.grammar import TAG_PATTERN
from tools.demo_dialogues.training import new_model

MODEL = Path(__file__).resolve().parents[2] / "configs" / "models" / "kaiwa-demo"


def test_drill_replies_open_with_a_tag() -> None:
    """A drill teaches the form of a reply, as every dialogue does."""
    rng = random.Random(4)
    for _ in range(60):
        replies = [m.content for m in drill(rng).messages if m.role == "assistant"]
        assert all(TAG_PATTERN.match(reply) for reply in replies)


def test_same_seed_same_drills() -> None:
    """Drills depend on their seed alone."""
    assert [drill(random.Random(n)) for n in range(9)] == [
        drill(random.Random(n)) for n in range(9)
    ]


@pytest.mark.slow
def test_planted_head_looks_one_position_back() -> None:
    """After planting, the first head of layer 0 gives the position before most of its weight."""
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    model = new_model(tokenizer.get_vocab_size(), tokenizer)
    ids = torch.randint(3, tokenizer.get_vocab_size(), (4, 80))
    plant_copying(model, ids)
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        weights = model(input_ids=ids, output_attentions=True).attentions[0][:, 0]
    before = weights.diagonal(offset=-1, dim1=1, dim2=2)
    assert float(before.mean()) > 0.5
