"""What a loaded model says of itself, and what is not loaded."""

from __future__ import annotations

import json
import weakref
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.attention.kv_store import LayerShape
from engine.attention.metadata import Span
from engine.config import KVCacheDType, ModelConfig
from engine.errors import ConfigError, ModelNotFound, UnsupportedModel
from engine.model import loader
from engine.model.bodies import make_body
from engine.model.checkpoint import read_weights
from engine.model.loader import load_model, resolve_device, resolve_dtype
from tests.support.tiny_models import (
    CONTEXT,
    EOS,
    VOCAB_SIZE,
    make_checkpoint,
    make_model,
    save_model,
)

Checkpoint = Callable[[str], Path]


def load(folder: Path | str, **settings: Any) -> loader.LoadedModel:
    """Load on CPU."""
    return load_model(ModelConfig(model=str(folder), device="cpu", **settings))


def test_the_facts_are_those_of_the_checkpoint(checkpoint: Checkpoint) -> None:
    """Shapes, counts and limits are read from the model itself."""
    loaded = load(checkpoint("olmo3"), dtype="float32")
    assert loaded.architecture == "Olmo3ForCausalLM"
    assert loaded.vocab_size == VOCAB_SIZE
    assert loaded.max_model_len == CONTEXT
    assert loaded.eos_token_ids == (EOS,)
    assert loaded.layers == (
        LayerShape(2, 16, 16, 16),
        LayerShape(2, 16, 16, None),
        LayerShape(2, 16, 16, 16),
    )
    assert loaded.kv_bytes_per_token == 3 * 2 * 2 * 16 * 4
    assert loaded.num_heads == 4
    assert loaded.num_parameters == sum(p.numel() for p in make_model("olmo3").parameters())
    assert loaded.forward == "native"


@pytest.mark.parametrize("kv_cache_dtype", ["fp8", "int8"])
def test_eight_bits_for_keys_are_refused_on_a_cpu(
    checkpoint: Checkpoint, kv_cache_dtype: KVCacheDType
) -> None:
    """By the name of the setting, with the way out."""
    config = ModelConfig(model=str(checkpoint("llama")), device="cpu")
    with pytest.raises(
        ConfigError, match="the device is 'cpu'; leave kv_cache_dtype out"
    ) as caught:
        load_model(config, kv_cache_dtype=kv_cache_dtype)
    assert caught.value.param == "kv_cache_dtype"


def test_eight_bits_for_keys_are_refused_to_transformers_own_modules() -> None:
    """Which know nothing of them, on a GPU as well."""
    config = ModelConfig(model="m", kernels="torch", self_check=False)
    with pytest.raises(ConfigError, match="kernels is 'torch'.* leave kv_cache_dtype out"):
        make_body(
            lambda: make_model("llama"),
            config,
            torch.device("cuda"),  # not touched before the refusal
            CONTEXT,
            lambda what: None,
            kv_cache_dtype="fp8",
        )


def test_tied_weights_are_counted_once(checkpoint: Checkpoint) -> None:
    """The embedding that is also the output projection is one tensor."""
    loaded = load(checkpoint("granite"))
    own = make_model("granite")
    assert loaded.num_parameters == sum(p.numel() for p in own.parameters())


def test_packed_weights_have_no_second_copy(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a model is packed, nothing of transformers' model is left."""
    read, models = read_weights, []

    def remember(*args: Any) -> Any:
        model = read(*args)
        models.append(weakref.ref(model))
        return model

    monkeypatch.setattr(loader, "read_weights", remember)
    assert load(checkpoint("llama")).forward == "native"
    assert [model() for model in models] == [None]


def test_progress_rises_to_one(checkpoint: Checkpoint) -> None:
    """Every tensor is heard of, in order, and the end is told."""
    heard: list[tuple[float, str]] = []
    config = ModelConfig(model=str(checkpoint("llama")), device="cpu")
    load_model(config, on_progress=lambda share, what: heard.append((share, what)))
    shares = [share for share, _ in heard]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len({share for share, what in heard if what == "reading weights"}) > 20


def test_nothing_is_written_to_the_terminal(
    checkpoint: Checkpoint, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not even transformers' own progress bar."""
    load(checkpoint("llama"))
    assert capfd.readouterr() == ("", "")


def test_sharded_weights_are_read(tmp_path: Path) -> None:
    """An index and its shards are one checkpoint."""
    folder = make_checkpoint(tmp_path, "llama")
    model = make_model("llama")
    (folder / "model.safetensors").unlink()
    model.save_pretrained(str(folder), max_shard_size="200KB")
    assert (folder / "model.safetensors.index.json").is_file()
    whole = load(make_checkpoint(tmp_path / "whole", "llama"), dtype="float32")
    table = array("i", [0])
    logits = [
        loaded.make_forward(1).run([Span(0, 3, table)], [5, 6, 7], [2])
        for loaded in (load(folder, dtype="float32"), whole)
    ]
    assert logits[0] is not None
    assert logits[1] is not None
    assert torch.equal(logits[0].values, logits[1].values)


def test_weights_that_lack_a_tensor_are_refused(tmp_path: Path) -> None:
    """A random tensor in its place would answer nonsense."""
    from safetensors.torch import load_file, save_file

    folder = make_checkpoint(tmp_path, "llama")
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelNotFound, match=r"up_proj"):
        load(folder)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    """A truncated file is an error about the checkpoint, not a traceback."""
    folder = make_checkpoint(tmp_path, "llama")
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(UnsupportedModel, match="cannot be loaded"):
        load(folder)


def test_the_checkpoints_end_tokens_come_from_both_files(tmp_path: Path) -> None:
    """Those of the generation configuration first, each once."""
    folder = make_checkpoint(tmp_path, "llama", eos_token_id=[5, EOS])
    generation = {"eos_token_id": [EOS, 9]}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    assert load(folder).eos_token_ids == (EOS, 9, 5)


def test_a_shorter_context_may_be_asked_for(checkpoint: Checkpoint) -> None:
    """And is what the model is held to."""
    assert load(checkpoint("llama"), max_model_len=40).max_model_len == 40


def test_a_longer_context_than_the_models_is_refused(checkpoint: Checkpoint) -> None:
    """The sentence names both."""
    with pytest.raises(ConfigError, match=f"max_model_len is 513 .* {CONTEXT}"):
        load(checkpoint("llama"), max_model_len=CONTEXT + 1)


def test_a_missing_folder_is_not_found(tmp_path: Path) -> None:
    """A path is never taken for a hub id."""
    with pytest.raises(ModelNotFound, match="there is no folder"):
        load(tmp_path / "nothing")


def test_a_file_is_not_a_checkpoint(checkpoint: Checkpoint) -> None:
    """The sentence asks for the folder."""
    with pytest.raises(ModelNotFound, match="name the folder"):
        load(checkpoint("llama") / "model.safetensors")


def test_a_hub_id_without_network_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says that the network was tried."""
    import huggingface_hub

    def offline(*args: object, **kwargs: object) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(ModelNotFound, match="no route to host"):
        load("somebody/some-model")


def test_a_cached_hub_id_is_a_folder(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is cached is served without the network."""
    import huggingface_hub

    def cached(name: str, *, local_files_only: bool = False, **kwargs: object) -> str:
        assert local_files_only
        return str(checkpoint("llama"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", cached)
    loaded = load("somebody/some-model")
    assert loaded.name == "somebody/some-model"
    assert loaded.folder == checkpoint("llama")


def test_a_hub_model_that_is_cached_in_part_is_fetched_to_its_end(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted download goes on instead of being refused for ever."""
    import huggingface_hub

    (tmp_path / "config.json").write_text("{}")

    def snapshot(name: str, *, local_files_only: bool = False, **kwargs: object) -> str:
        return str(tmp_path if local_files_only else checkpoint("llama"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert load("somebody/some-model").folder == checkpoint("llama")


def test_an_architecture_without_the_interface_is_refused(tmp_path: Path) -> None:
    """A model that computes its attention by itself cannot be paged."""
    from transformers import AutoConfig, AutoModelForCausalLM

    build: Any = AutoModelForCausalLM.from_config
    config = AutoConfig.for_model("bloom", vocab_size=400, hidden_size=32, n_layer=2, n_head=2)
    folder = save_model(build(config), tmp_path)
    with pytest.raises(UnsupportedModel, match="does not let its attention be replaced"):
        load(folder, max_model_len=64)


@pytest.mark.parametrize(
    ("asked", "checkpoint_dtype", "arithmetic", "expected"),
    [
        ("auto", torch.bfloat16, True, torch.bfloat16),
        ("auto", torch.bfloat16, False, torch.float32),
        ("auto", torch.float16, True, torch.bfloat16),
        ("auto", torch.float16, False, torch.float32),
        ("auto", torch.float32, True, torch.float32),
        ("auto", None, True, torch.float32),
        ("bfloat16", torch.float32, False, torch.bfloat16),
        ("float32", torch.bfloat16, True, torch.float32),
    ],
)
def test_the_dtype_suits_checkpoint_and_processor(
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    checkpoint_dtype: torch.dtype | None,
    arithmetic: bool,
    expected: torch.dtype,
) -> None:
    """The checkpoint's own where the processor computes in it; float16 never."""
    monkeypatch.setattr(loader, "cpu_has_bfloat16", lambda: arithmetic)
    assert resolve_dtype(asked, checkpoint_dtype, torch.device("cpu")) == expected


def test_weights_are_in_the_dtype_asked_for(checkpoint: Checkpoint) -> None:
    """All of them."""
    loaded = load(checkpoint("qwen2"), dtype="bfloat16")
    assert loaded.dtype == torch.bfloat16
    assert {t.dtype for t in loaded.make_forward(1).store.keys} == {torch.bfloat16}
    assert loaded.weight_bytes < 3 * loaded.num_parameters


def test_cuda_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """While ``auto`` takes the processor."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")
    with pytest.raises(ConfigError, match="no GPU"):
        resolve_device("cuda")


def test_fp8_on_a_cpu_is_refused(checkpoint: Checkpoint) -> None:
    """With what a CPU has instead."""
    with pytest.raises(ConfigError, match="use 'int8'"):
        load(checkpoint("llama"), quantization="fp8")
