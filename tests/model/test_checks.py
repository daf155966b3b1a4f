"""Folders that are refused, and the sentence that says why."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoConfig

from engine.errors import ModelNotFound, UnsupportedModel
from engine.model.checks import check_config, check_folder, check_layers, model_context

LLAMA: dict[str, Any] = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}


def folder_with(tmp_path: Path, *files: str, config: dict[str, Any] | None = None) -> Path:
    """A folder with these files, empty, and a configuration."""
    (tmp_path / "config.json").write_text(json.dumps(LLAMA if config is None else config))
    for name in files:
        (tmp_path / name).write_text("")
    return tmp_path


def test_a_complete_folder_passes(tmp_path: Path) -> None:
    """Configuration, weights and tokenizer are enough."""
    folder = folder_with(tmp_path, "model.safetensors", "tokenizer.json")
    assert check_folder(folder) == LLAMA


def test_a_folder_without_config_is_not_found(tmp_path: Path) -> None:
    """The sentence names the file."""
    with pytest.raises(ModelNotFound, match=r"has no config\.json"):
        check_folder(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "null"])
def test_a_broken_config_is_not_found(tmp_path: Path, text: str) -> None:
    """A half-fetched file is refused as such."""
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelNotFound, match="fetch it again"):
        check_folder(tmp_path)


def test_an_adapter_is_refused(tmp_path: Path) -> None:
    """It is not a model by itself."""
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UnsupportedModel, match="adapter"):
        check_folder(tmp_path)


def test_missing_weights_are_not_found(tmp_path: Path) -> None:
    """The sentence names the file."""
    with pytest.raises(ModelNotFound, match=r"no model\.safetensors"):
        check_folder(folder_with(tmp_path, "tokenizer.json"))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    """An index may promise more than was downloaded."""
    folder = folder_with(tmp_path, "tokenizer.json", "a.safetensors")
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelNotFound, match=r"lacks b\.safetensors \(1 of 2"):
        check_folder(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth"])
def test_pickled_weights_are_refused(tmp_path: Path, name: str) -> None:
    """They can run code."""
    with pytest.raises(UnsupportedModel, match="pickled"):
        check_folder(folder_with(tmp_path, "tokenizer.json", name))


def test_gguf_is_refused(tmp_path: Path) -> None:
    """Another format."""
    with pytest.raises(UnsupportedModel, match="GGUF"):
        check_folder(folder_with(tmp_path, "tokenizer.json", "model-q4.gguf"))


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    """The sentence names the file."""
    with pytest.raises(ModelNotFound, match=r"tokenizer\.json"):
        check_folder(folder_with(tmp_path, "model.safetensors"))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_type": "nobody_knows"}, "not known to the installed transformers"),
        ({"model_type": "mine", "auto_map": {"AutoConfig": "x.C"}}, "code from its own repository"),
        ({"model_type": "t5", "is_encoder_decoder": True}, "encoder-decoder"),
        ({"model_type": "gemma3", "vision_config": {}}, "multimodal"),
        ({"model_type": "qwen3_5_text", "layer_types": ["linear_attention"]}, "linear_attention"),
        ({"model_type": "llama4_text", "layer_types": ["chunked_attention"]}, "chunked_attention"),
        ({"model_type": "mamba2", "state_size": 16}, "recurrent"),
        ({"model_type": "rwkv"}, "recurrent"),
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "not a causal language"),
        ({"model_type": "llama", "architectures": ["LlamaForSequenceClassification"]}, "not a ca"),
        ({"model_type": "gemma4_text", "num_kv_shared_layers": 4}, "shares keys and values"),
        ({"model_type": "gemma3_text", "use_bidirectional_attention": True}, "both directions"),
        ({**LLAMA, "quantization_config": {"quant_method": "hqq"}}, "quantised by the method .hqq"),
    ],
    ids=lambda value: value.get("model_type") if isinstance(value, dict) else "",
)
def test_other_kinds_of_model_are_refused(config: dict[str, Any], reason: str) -> None:
    """Each with what it is and what is served instead."""
    with pytest.raises(UnsupportedModel, match=reason):
        check_config(config)


def test_code_beside_a_known_architecture_is_ignored() -> None:
    """A repository may carry code for old versions; transformers' own class is used."""
    check_config({**LLAMA, "auto_map": {"AutoModelForCausalLM": "modeling.X"}})


def test_the_context_is_what_the_configuration_says() -> None:
    """Plain rotary positions reach as far as the model was made for."""
    config = SimpleNamespace(max_position_embeddings=4096, rope_parameters={"rope_type": "yarn"})
    assert model_context(config) == 4096


@pytest.mark.parametrize("kind", ["longrope", "dynamic"])
def test_frequencies_that_move_hold_the_context_down(kind: str) -> None:
    """Beyond the original length one sequence's keys would depend on its batch-mates."""
    rope = {"rope_type": kind, "original_max_position_embeddings": 4096}
    config = SimpleNamespace(max_position_embeddings=131072, rope_parameters=rope)
    assert model_context(config) == 4096


def test_an_unknown_context_is_unknown() -> None:
    """Some configurations do not say."""
    assert model_context(SimpleNamespace()) is None


def test_layers_that_only_transformers_spells_out_are_refused() -> None:
    """A file may leave its layer types to the family's defaults."""
    config: Any = AutoConfig.for_model("llama4_text", num_hidden_layers=4)
    with pytest.raises(UnsupportedModel, match="chunked_attention"):
        check_layers(config.to_dict(), "the model")
