"""Quantised checkpoints as models: what they compute, what is kept of them, what is refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from engine.config import Kernels, ModelConfig
from engine.decoder.quantised import QuantisedWeight
from engine.errors import ModelNotFound, UnsupportedModel
from engine.llm import LLM
from engine.model.checkpoint import read_config, read_weights
from engine.model.checks import check_folder
from engine.model.loader import LoadedModel, load_model
from engine.model.quantised.read import drop_payloads
from engine.model.quantised.scheme import read_scheme
from engine.sampling_params import SamplingParams
from tests.model.driver import random_prompt
from tests.support.quantised_checkpoints import (
    FORMATS,
    set_quantization_config,
    write_dense,
    write_quantised,
)
from tests.support.tiny_models import make_checkpoint, make_model

IDS = torch.tensor([[5, 9, 33, 7, 21, 2, 300, 11]])
UP = "model.layers.1.mlp.up_proj"


def read(
    folder: Path,
    dtype: torch.dtype = torch.float32,
    *,
    keep: bool = True,
    report: Callable[[float], None] = lambda share: None,
) -> Any:
    """Read a checkpoint as the loader does."""
    scheme = read_scheme(check_folder(folder), "the model")
    device = torch.device("cpu")
    return read_weights(folder, read_config(folder), dtype, device, report, scheme, keep)


def load(folder: Path, **settings: Any) -> LoadedModel:
    """Load on CPU."""
    return load_model(ModelConfig(model=str(folder), device="cpu", dtype="float32", **settings))


def untouched(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """Read a checkpoint as transformers does by itself."""
    build: Any = AutoModelForCausalLM
    return build.from_pretrained(str(folder), dtype=dtype, attn_implementation="eager")


def payloads(model: Any) -> dict[str, QuantisedWeight]:
    """What layers keep, by their names."""
    return {n: vars(m)["quantised"] for n, m in model.named_modules() if "quantised" in vars(m)}


def change(folder: Path, layer: str = UP, **tensors: Tensor | None) -> None:
    """Replace tensors of one layer, or take them away."""
    stored = load_file(folder / "model.safetensors")
    for leaf, tensor in tensors.items():
        if tensor is None:
            del stored[f"{layer}.{leaf}"]
        else:
            stored[f"{layer}.{leaf}"] = tensor
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", FORMATS)
@torch.inference_mode()
def test_logits_are_those_of_the_dequantised_weights(
    tmp_path: Path, name: str, dtype: torch.dtype
) -> None:
    """To the bit, for every format."""
    dense = write_quantised(tmp_path / "quantised", FORMATS[name])
    expected = untouched(write_dense(tmp_path / "dense", dense), dtype)
    found = read(tmp_path / "quantised", dtype)
    assert torch.equal(found(IDS).logits, expected(IDS).logits)


@pytest.mark.parametrize("name", ["awq", "fp8-blocks"])
@pytest.mark.parametrize("family", ["phi3", "qwen2", "gemma2"])
@torch.inference_mode()
def test_families_are_read_alike(tmp_path: Path, family: str, name: str) -> None:
    """With merged layers, biases, and an output projection that is the embedding."""
    dense = write_quantised(tmp_path / "quantised", FORMATS[name], family)
    expected = untouched(write_dense(tmp_path / "dense", dense, family))
    found = read(tmp_path / "quantised")
    assert torch.equal(found(IDS).logits, expected(IDS).logits)


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"gptq-4-desc-act"}))
def test_linear_layers_keep_what_they_were(tmp_path: Path, name: str) -> None:
    """Each that was quantised, and no other; it stands for the layer's weight."""
    write_quantised(tmp_path, FORMATS[name])
    model = read(tmp_path, torch.bfloat16)
    kept = payloads(model)
    linear = {n for n, m in model.named_modules() if type(m) is nn.Linear and n != "lm_head"}
    assert set(kept) == linear
    for layer, weight in kept.items():
        assert torch.equal(weight.dequantise().bfloat16(), model.get_submodule(layer).weight)


def test_inputs_in_an_order_of_their_own_keep_nothing(tmp_path: Path) -> None:
    """Blocks of columns cannot tell it; the layer is served dequantised."""
    write_quantised(tmp_path, FORMATS["gptq-4-desc-act"])
    assert not payloads(read(tmp_path))


def test_an_output_projection_keeps_what_it_was(tmp_path: Path) -> None:
    """Where it is a weight of its own."""
    fmt = FORMATS["compressed-int4-group"]
    write_quantised(tmp_path, fmt, plain=())
    set_quantization_config(tmp_path, {**fmt.config, "ignore": []})
    assert "lm_head" in payloads(read(tmp_path))


def test_an_output_projection_that_is_the_embedding_stays_so(tmp_path: Path) -> None:
    """Even where the embedding was quantised: rows are taken from it, so it is kept dense."""
    fmt = FORMATS["compressed-int8-channel"]
    write_quantised(tmp_path, fmt, "qwen2")
    embedding = "model.embed_tokens"
    tensors, dense = fmt.pack(make_model("qwen2").get_submodule(embedding).weight.numpy())
    change(tmp_path, embedding, **tensors)
    model = read(tmp_path)
    assert model.lm_head.weight is model.get_submodule(embedding).weight
    assert torch.equal(model.lm_head.weight, torch.from_numpy(dense))
    assert len(payloads(model)) == 21


def test_nothing_is_kept_unless_it_is_asked_for(tmp_path: Path) -> None:
    """A CPU multiplies from the dequantised weights alone."""
    write_quantised(tmp_path, FORMATS["fp8-blocks"])
    assert not payloads(read(tmp_path, keep=False))


def test_what_is_kept_can_be_dropped(tmp_path: Path) -> None:
    """Once nothing will multiply from it."""
    write_quantised(tmp_path, FORMATS["fp8-blocks"])
    model = read(tmp_path)
    assert drop_payloads(model) == 21
    assert not payloads(model)
    assert drop_payloads(model) == 0


def test_shards_may_part_a_weight_from_its_scale(tmp_path: Path) -> None:
    """An index says where each tensor is, and nothing says that a layer's are together."""
    write_quantised(tmp_path, FORMATS["gptq-4"])
    whole = payloads(read(tmp_path))
    stored = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    shards: dict[str, dict[str, Tensor]] = {"a.safetensors": {}, "b.safetensors": {}}
    where = {}
    for number, name in enumerate(sorted(stored)):
        where[name] = sorted(shards)[number % 2]
        shards[where[name]][name] = stored[name]
    for shard, tensors in shards.items():
        save_file(tensors, tmp_path / shard, metadata={"format": "pt"})
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    parted = payloads(read(tmp_path))
    assert set(parted) == set(whole)
    assert all(torch.equal(parted[n].payload, whole[n].payload) for n in whole)


def test_progress_tells_of_every_layer(tmp_path: Path) -> None:
    """From nothing to all, never backwards, in small steps."""
    write_quantised(tmp_path, FORMATS["compressed-int8-channel"])
    shares: list[float] = []
    read(tmp_path, report=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert max(b - a for a, b in zip([0.0, *shares], shares, strict=False)) < 0.25
    assert len(set(shares)) > 21


def test_the_log_says_how_weights_are_held(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody chose the checkpoint for its size."""
    write_quantised(tmp_path, FORMATS["gptq-4"])
    with caplog.at_level(logging.INFO, logger="engine"):
        read(tmp_path, keep=False)
    assert "GPTQ of 4 bits: weights are dequantised to float32" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["auto", "torch"])
@pytest.mark.parametrize(
    "name", ["fp8-blocks", "compressed-fp8-channel", "compressed-int4-group", "awq", "gptq-4"]
)
def test_replies_are_those_of_the_dequantised_weights(
    tmp_path: Path, name: str, kernels: Kernels
) -> None:
    """Token by token, by the compiled kernels and by transformers' own modules."""
    dense = write_quantised(tmp_path / "quantised", FORMATS[name])
    model = untouched(write_dense(tmp_path / "dense", dense))
    folder = str(tmp_path / "quantised")
    llm = LLM(folder, device="cpu", dtype="float32", kernels=kernels, kv_cache_tokens=512)
    for seed in range(3):
        prompt = random_prompt(9 + 14 * seed, seed=seed)
        (reply,) = llm.generate([prompt], SamplingParams(temperature=0, max_tokens=16))
        tokens = torch.tensor([prompt])
        mask = torch.ones_like(tokens)
        said = model.generate(tokens, attention_mask=mask, max_new_tokens=16, do_sample=False)
        assert reply.token_ids == said[0, len(prompt) :].tolist()


@pytest.mark.slow
def test_eight_bits_may_be_made_of_fewer(tmp_path: Path) -> None:
    """``quantization int8`` packs what was dequantised."""
    write_quantised(tmp_path, FORMATS["awq"])
    plain, int8 = load(tmp_path), load(tmp_path, quantization="int8")
    assert int8.forward == "native"
    assert int8.weight_bytes < 0.5 * plain.weight_bytes


def test_a_missing_scale_is_named(tmp_path: Path) -> None:
    """With the layer that it belongs to."""
    write_quantised(tmp_path, FORMATS["fp8-blocks"])
    change(tmp_path, weight_scale_inv=None)
    with pytest.raises(ModelNotFound, match=rf"{UP} is quantised but has no weight_scale"):
        load(tmp_path)


def test_a_scale_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    """The layer would answer nonsense."""
    write_quantised(tmp_path, FORMATS["gptq-4"])
    scales = load_file(tmp_path / "model.safetensors")[f"{UP}.scales"]
    scales[0, 3] = torch.nan
    change(tmp_path, scales=scales)
    with pytest.raises(UnsupportedModel, match=f"{UP}: a scale is not finite"):
        load(tmp_path)


def test_a_weight_of_another_models_shape_is_refused(tmp_path: Path) -> None:
    """What unpacks well may still not be the layer's."""
    write_quantised(tmp_path, FORMATS["compressed-int8-channel"])
    change(tmp_path, weight=torch.ones(16, 16).char(), weight_scale=torch.ones(16, 1))
    with pytest.raises(UnsupportedModel, match="cannot be loaded"):
        load(tmp_path)


def test_a_scale_with_nothing_to_scale_is_refused(tmp_path: Path) -> None:
    """The weight beside it is not what the scale was made for."""
    write_quantised(tmp_path, FORMATS["fp8-blocks"])
    change(tmp_path, weight=torch.ones(112, 64))
    with pytest.raises(UnsupportedModel, match=f"{UP}: weight is float32 where float8_e4m3fn"):
        load(tmp_path)


def test_a_layer_that_is_said_to_be_plain_must_be(tmp_path: Path) -> None:
    """One of the two is wrong, and nobody can tell which."""
    fmt = FORMATS["fp8-blocks"]
    write_quantised(tmp_path, fmt)
    set_quantization_config(tmp_path, {**fmt.config, "modules_to_not_convert": ["lm_head", UP]})
    with pytest.raises(UnsupportedModel, match=f"{UP} is quantised, but config.json says"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["awq", "fp8-blocks", "compressed-int4-group"])
def test_quantised_weights_need_their_configuration(tmp_path: Path, name: str) -> None:
    """Without it they are no download that stopped half-way."""
    write_quantised(tmp_path, FORMATS[name])
    set_quantization_config(tmp_path, None)
    with pytest.raises(UnsupportedModel, match="belongs to quantised weights"):
        load(tmp_path)


def test_a_configuration_needs_its_weights(tmp_path: Path) -> None:
    """What is stored plain is read so, whatever the configuration would have allowed."""
    folder = make_checkpoint(tmp_path, "llama")
    set_quantization_config(folder, FORMATS["awq"].config)
    assert torch.equal(read(folder)(IDS).logits, make_model("llama")(IDS).logits)


def test_another_formats_tensors_are_refused(tmp_path: Path) -> None:
    """The configuration says which are to be there."""
    write_quantised(tmp_path, FORMATS["awq"])
    set_quantization_config(tmp_path, FORMATS["compressed-int4-group"].config)
    with pytest.raises(ModelNotFound, match="is quantised but has no weight_"):
        load(tmp_path)


def test_weights_that_lack_a_layer_are_refused(tmp_path: Path) -> None:
    """As in a checkpoint that is not quantised."""
    write_quantised(tmp_path, FORMATS["compressed-int8-channel"])
    change(tmp_path, weight=None, weight_scale=None)
    with pytest.raises(ModelNotFound, match=f"lacks 1 of the model's weights, {UP}"):
        load(tmp_path)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    """A truncated file is an error about the checkpoint, not a traceback."""
    write_quantised(tmp_path, FORMATS["awq"])
    data = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(UnsupportedModel, match="cannot be loaded"):
        load(tmp_path)
