"""From a folder or a hub id to a model in memory whose attention is ours."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from engine.attention.kv_store import LayerShape, kv_bytes_per_token
from engine.config import KVCacheDType, ModelConfig
from engine.errors import ConfigError
from engine.model.bodies import make_body
from engine.model.checkpoint import eos_token_ids_of, find_checkpoint, read_config, read_weights
from engine.model.checks import check_folder, check_layers, model_context
from engine.model.forward import Forward
from engine.model.memory import give_back_memory
from engine.model.quantised.scheme import read_scheme

logger = logging.getLogger(__name__)

Progress = Callable[[float, str], None]
"""Called with a fraction from 0 to 1 and a short phrase; never backwards."""

_SHARE = {"find": 0.02, "weights": 0.90, "check": 0.95, "done": 1.0}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to step.

    Attributes:
        make_forward: Given a number of KV blocks, returns the model with memory of its own.
        forward: ``native`` for the compiled kernels, ``transformers`` for its own modules.
        folder: Where its files are; the tokenizer is read from here.
        name: What it was asked for by.
        architecture: transformers' class name.
        dtype: Of weights and activations.
        kv_dtype: What keys and values are kept in.
        device: Where everything lives.
        vocab_size: Width of the logits, which may exceed the tokenizer's.
        max_model_len: Longest sequence, prompt and reply together.
        eos_token_ids: Tokens that end a reply.
        layers: What each layer stores per token.
        num_heads: Query heads of a layer.
        num_parameters: Tied weights counted once.
        weight_bytes: Memory that the weights take.
    """

    make_forward: Callable[[int], Forward]
    forward: Literal["native", "triton", "transformers"]
    folder: Path
    name: str
    architecture: str
    dtype: torch.dtype
    kv_dtype: torch.dtype
    device: torch.device
    vocab_size: int
    max_model_len: int
    eos_token_ids: tuple[int, ...]
    layers: tuple[LayerShape, ...]
    num_heads: int
    num_parameters: int
    weight_bytes: int

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of KV memory that one token costs."""
        return kv_bytes_per_token(self.layers, self.kv_dtype)


def load_model(
    config: ModelConfig,
    *,
    kv_cache_dtype: KVCacheDType = "auto",
    on_progress: Progress | None = None,
) -> LoadedModel:
    """Find, check, read and self-check a model.

    Only safetensors weights are read and no code of the checkpoint is ever run.

    Args:
        config: Which, and how it is held.
        kv_cache_dtype: What keys and values are kept in.
        on_progress: Told of what is being done.

    Raises:
        ModelNotFound: The checkpoint, or a part of it, is not there.
        UnsupportedModel: It is of a kind that is not served.
        SelfCheckFailed: Paged attention disagrees with the untouched model.
        ConfigError: ``max_model_len``, ``device``, ``quantization`` or ``kv_cache_dtype`` cannot be
            had.
    """
    report = on_progress or _ignore
    report(0.0, "looking for the model")
    device = resolve_device(config.device)
    check_quantization(config.quantization, device)
    folder = find_checkpoint(config.model)
    raw = check_folder(folder)
    hf_config = read_config(folder)
    check_layers(hf_config.to_dict(), config.model)
    max_model_len = resolve_max_model_len(config.max_model_len, model_context(hf_config))
    dtype = resolve_dtype(config.dtype, _checkpoint_dtype(raw), device)
    scheme = read_scheme(raw, config.model)
    multiplied_from = device.type == "cuda" and config.kernels != "torch"
    facts: list[_Facts] = []

    def read() -> Any:
        told = _reading(report, again=bool(facts))
        model = read_weights(folder, hf_config, dtype, device, told, scheme, multiplied_from)
        facts.append(_Facts.of(model))
        return model

    report(_SHARE["find"], "reading weights")
    body = make_body(
        read,
        config,
        device,
        max_model_len,
        lambda what: report(_SHARE["check"], what),
        kv_cache_dtype=kv_cache_dtype,
    )
    give_back_memory()
    loaded = LoadedModel(
        make_forward=body.make_forward,
        forward=body.name,
        folder=folder,
        name=config.model,
        architecture=facts[0].architecture,
        dtype=dtype,
        kv_dtype=body.kv_dtype,
        device=device,
        vocab_size=facts[0].vocab_size,
        max_model_len=max_model_len,
        eos_token_ids=eos_token_ids_of(folder, hf_config),
        layers=tuple(body.layers),
        num_heads=int(hf_config.get_text_config().num_attention_heads),
        num_parameters=facts[0].num_parameters,
        weight_bytes=body.weight_bytes,
    )
    report(_SHARE["done"], "model loaded")
    _log(loaded)
    return loaded


@dataclass(frozen=True, slots=True)
class _Facts:
    """What can only be told while transformers' model is there."""

    architecture: str
    vocab_size: int
    num_parameters: int

    @classmethod
    def of(cls, model: Any) -> _Facts:
        return cls(
            architecture=type(model).__name__,
            vocab_size=int(model.get_output_embeddings().weight.shape[0]),
            num_parameters=sum(p.numel() for p in model.parameters()),
        )


def _reading(report: Progress, *, again: bool) -> Callable[[float], None]:
    """Return what tells of tensors read; progress never goes backwards."""
    low, high = _SHARE["find"], _SHARE["weights"]
    if again:
        return lambda share: None
    return lambda share: report(low + share * (high - low), "reading weights")


def _log(loaded: LoadedModel) -> None:
    logger.info(
        "loaded %s: %s, %.1f M parameters in %.0f MB, %s on %s, %s, KV in %s, context %d",
        loaded.name,
        loaded.architecture,
        loaded.num_parameters / 1e6,
        loaded.weight_bytes / 1e6,
        str(loaded.dtype).removeprefix("torch."),
        loaded.device,
        loaded.forward,
        str(loaded.kv_dtype).removeprefix("torch."),
        loaded.max_model_len,
    )


def resolve_device(asked: str) -> torch.device:
    """Turn ``auto`` into a device.

    Raises:
        ConfigError: ``cuda`` was asked for and there is none.
    """
    has_cuda = torch.cuda.is_available()
    if asked == "cuda" and not has_cuda:
        raise ConfigError("device is 'cuda' but torch sees no GPU; use 'cpu'", param="device")
    return torch.device("cuda" if has_cuda and asked != "cpu" else "cpu")


def check_quantization(asked: str | None, device: torch.device) -> None:
    """Refuse what a device has no arithmetic for.

    Raises:
        ConfigError: ``fp8`` was asked for on a CPU.
    """
    if asked == "fp8" and device.type == "cpu":
        raise ConfigError(
            "quantization is 'fp8', which needs a GPU, and the device is a CPU; use 'int8'",
            param="quantization",
        )


def resolve_dtype(asked: str, checkpoint: torch.dtype | None, device: torch.device) -> torch.dtype:
    """Choose between bfloat16 and float32.

    A float16 checkpoint is taken as bfloat16: its range is the smaller one, and no CPU computes in
    it. A CPU that would have to emulate bfloat16 gets float32.
    """
    if asked != "auto":
        return torch.bfloat16 if asked == "bfloat16" else torch.float32
    if checkpoint is None or checkpoint not in (torch.bfloat16, torch.float16):
        return torch.float32
    if device.type == "cpu" and not cpu_has_bfloat16():
        return torch.float32
    return torch.bfloat16


def cpu_has_bfloat16() -> bool:
    """Whether this processor has bfloat16 arithmetic rather than conversions only."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux; Apple's processors have had it since the M2
        return platform.machine() == "arm64"
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", " bf16"))


def resolve_max_model_len(asked: int | None, own: int | None) -> int:
    """Return what was asked for, at most the model's own.

    Raises:
        ConfigError: More was asked for than the model can do, or nothing says how much that is.
    """
    if own is None:
        if asked is None:
            raise ConfigError(
                "the model does not say how long its context is; set max_model_len",
                param="max_model_len",
            )
        return asked
    if asked is not None and asked > own:
        raise ConfigError(
            f"max_model_len is {asked} but the model's own context is {own}; ask for at most {own}",
            param="max_model_len",
        )
    return asked or own


def _checkpoint_dtype(raw: Mapping[str, Any]) -> torch.dtype | None:
    name = str(raw.get("dtype") or raw.get("torch_dtype") or "").removeprefix("torch.")
    found = getattr(torch, name, None) if name else None
    return found if isinstance(found, torch.dtype) else None


def _ignore(fraction: float, what: str) -> None:
    del fraction, what
