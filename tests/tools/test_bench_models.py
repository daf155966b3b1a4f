"""Checkpoints with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

from tools.bench import models


@pytest.mark.slow
@pytest.mark.parametrize("tied", [True, False])
def test_a_checkpoint_is_whole_in_several_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tied: bool
) -> None:
    """Nothing is missing, weights are drawn and norms are one, every token is a word."""
    monkeypatch.setattr(models, "_SHARD_BYTES", 100_000)
    config = AutoConfig.for_model(
        "llama",
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=4200,
        tie_word_embeddings=tied,
    )
    models.write(tmp_path, config)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    read: Any = AutoModelForCausalLM.from_pretrained
    model, info = read(str(tmp_path), output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert model.dtype == torch.bfloat16
    drawn = model.model.layers[1].mlp.up_proj.weight.detach().float()
    assert float(drawn.std()) == pytest.approx(0.02, rel=0.1)
    assert bool((model.model.norm.weight == 1).all())
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == 4200
