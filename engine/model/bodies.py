"""What computes a loaded model's steps: kernels of ours, or transformers' own modules.

On a CPU the kernels are compiled from C++ and compute a whole step; on a GPU they are Triton's,
with torch's products between them. What is chosen is compared with the untouched model first.
"""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch

from engine.attention.interface import ATTENTION_NAME
from engine.attention.kv_store import LayerShape, kv_format, resolve_kv_dtype
from engine.attention.traits import AttentionTraits
from engine.config import KVCacheDType, ModelConfig
from engine.decoder.pack import PackedDecoder
from engine.decoder.surgery import NotRecognised, take_apart
from engine.errors import ConfigError, SelfCheckFailed, UnsupportedModel
from engine.model.forward import Forward
from engine.model.native_forward import NativeForward
from engine.model.prepacked import prepack_linears
from engine.model.probe import probe_layers
from engine.model.quantised.read import drop_payloads
from engine.model.self_check import Agreement, SelfCheck
from engine.model.transformers_forward import MakeAttention, TransformersForward
from engine.native.build import KernelsUnavailable, load_library

logger = logging.getLogger(__name__)

Note = Callable[[str], None]
"""Called with a short phrase for what is being done."""

_QUANTISED_TOLERANCE = 0.5
"""Of the logits' spread: eight bits cost more than rounding, and a wrong structure costs all."""
_KV_TOLERANCE = {"int8": 0.07, "fp8": 0.15}
"""Likewise, for a model of one layer; grows with the square root of their number. Random models of
three layers differ by up to 0.023 and 0.093 in float32; bfloat16's rounding comes on top."""


@dataclass(frozen=True, slots=True)
class Body:
    """Something that steps.

    Attributes:
        name: Which of them.
        make_forward: Given a number of KV blocks, returns it with memory of its own.
        layers: What each layer stores per token.
        kv_dtype: What it is stored in.
        weight_bytes: Memory that the weights take.
    """

    name: Literal["native", "triton", "transformers"]
    make_forward: Callable[[int], Forward]
    layers: Sequence[LayerShape]
    kv_dtype: torch.dtype
    weight_bytes: int


def make_body(
    read: Callable[[], Any],
    config: ModelConfig,
    device: torch.device,
    max_model_len: int,
    note: Note,
    *,
    kv_cache_dtype: KVCacheDType = "auto",
) -> Body:
    """Read a model and make the fastest body that is right for it.

    Args:
        read: Reads the model as transformers builds it; called again when its weights were taken
            for a body that turned out wrong.
        config: Of the model.
        device: Where it is.
        max_model_len: Longest sequence.
        note: Hears what is being done.
        kv_cache_dtype: What keys and values are kept in.

    Raises:
        ConfigError: Keys and values cannot be kept in what was asked for here.
        UnsupportedModel: It is of a kind that is not served, or not with what was asked for.
        SelfCheckFailed: Paged attention disagrees with the untouched model.
    """
    if kv_cache_dtype != "auto" and device.type != "cuda":
        raise _no_such_kv(kv_cache_dtype, f"the device is '{device.type}'")
    model = read()
    architecture = type(model).__name__
    note("looking at the layers")
    layers, traits = probe_layers(model)
    note("checking it against the model as transformers runs it")
    check = SelfCheck(model, layers, max_model_len=max_model_len) if config.self_check else None
    try:
        if config.kernels == "torch":
            raise KernelsUnavailable("kernels is 'torch'; 'auto' takes the compiled ones")
        if device.type == "cuda":
            return gpu_body(
                model, traits, config, device, max_model_len, check, kv_cache_dtype=kv_cache_dtype
            )
        return _native_body(model, traits, config, max_model_len, check, note)
    except (NotRecognised, KernelsUnavailable, SelfCheckFailed) as error:
        if (asked := _only_by_kernels(config)) is not None:
            raise UnsupportedModel(
                f"{asked} needs the compiled kernels, and they do not run {architecture} here: "
                f"{error}; leave it out"
            ) from error
        if kv_cache_dtype != "auto":
            raise _no_such_kv(kv_cache_dtype, f"they do not run {architecture}: {error}") from error
        logger.info("%s runs on transformers' own modules: %s", architecture, error)
        if isinstance(error, SelfCheckFailed):
            del model
            model = read()  # its weights are gone
        return _transformers_body(
            model, layers, check, read, by_triton=_uses_triton(config, device)
        )


def _no_such_kv(asked: KVCacheDType, why: str) -> ConfigError:
    return ConfigError(
        f"kv_cache_dtype {asked} needs the GPU's kernels, and {why}; leave kv_cache_dtype out",
        param="kv_cache_dtype",
    )


def _native_body(
    model: Any,
    traits: Sequence[AttentionTraits],
    config: ModelConfig,
    max_model_len: int,
    check: SelfCheck | None,
    note: Note,
) -> Body:
    """Pack a model for the compiled kernels; takes its weights once it is understood.

    Raises:
        NotRecognised: Its structure is not understood.
        KernelsUnavailable: The kernels cannot be had.
        SelfCheckFailed: It was understood wrongly.
    """
    library = load_library(lambda: note("compiling the kernels for this processor, once"))
    with torch.inference_mode():
        spec = take_apart(model, traits, max_model_len=max_model_len)
        decoder = PackedDecoder(spec, int8=config.quantization == "int8")
    make_forward = partial(_make_native, decoder, library)
    if check is not None:
        _log_agreement(check.compare(make_forward, tolerance=_tolerance(config)))
    layers = [
        LayerShape(spec.kv_heads, decoder.head_dim, decoder.head_dim, trait.window)
        for trait in traits
    ]
    return Body("native", make_forward, layers, spec.dtype, decoder.num_bytes)


def gpu_body(
    model: Any,
    traits: Sequence[AttentionTraits],
    config: ModelConfig,
    device: torch.device,
    max_model_len: int,
    check: SelfCheck | None,
    *,
    kv_cache_dtype: KVCacheDType = "auto",
) -> Body:
    """Hand a model's weights over to the GPU's kernels, once it is understood.

    Args:
        model: As transformers built it.
        traits: How its layers attend.
        config: Of the model.
        device: Where it is: a GPU, or a CPU on which Triton interprets.
        max_model_len: Longest sequence.
        check: Compares with the untouched model, if asked for.
        kv_cache_dtype: What keys and values are kept in.

    Raises:
        NotRecognised: Its structure is not understood.
        KernelsUnavailable: There is no Triton.
        SelfCheckFailed: It was understood wrongly.
    """
    if not has_triton():
        raise KernelsUnavailable("Triton is not installed; pip install triton")
    from engine.gpu.linear.weights import DecoderWeights
    from engine.model.gpu_forward import GpuForward

    with torch.inference_mode(), device:  # what surgery tries modules with lies on the device too
        spec = take_apart(model, traits, max_model_len=max_model_len)
        weights = DecoderWeights(
            spec,
            device,
            quantization=config.quantization,
            deterministic=config.deterministic,
        )
    kv_dtype = resolve_kv_dtype(kv_cache_dtype, spec.dtype)
    make_forward = partial(GpuForward, weights, kv_dtype=kv_dtype)
    if check is not None:
        tolerance = _tolerance(config, kv_format(kv_dtype), len(traits))
        _log_agreement(check.compare(make_forward, tolerance=tolerance))
    layers = [
        LayerShape(spec.kv_heads, spec.head_dim, spec.head_dim, trait.window) for trait in traits
    ]
    return Body("triton", make_forward, layers, kv_dtype, weights.num_bytes)


def _only_by_kernels(config: ModelConfig) -> str | None:
    """Return what was asked for that transformers' own modules do not give."""
    if config.quantization is not None:
        return f"quantization {config.quantization}"
    return "deterministic" if config.deterministic else None


def _tolerance(config: ModelConfig, kv: str = "", num_layers: int = 1) -> float | None:
    """Return how far logits may be off; ``None`` for as far as rounding explains."""
    if config.quantization is not None:
        return _QUANTISED_TOLERANCE
    of_one_layer = _KV_TOLERANCE.get(kv)
    if of_one_layer is None:
        return None
    return min(of_one_layer * math.sqrt(num_layers), _QUANTISED_TOLERANCE)


def has_triton() -> bool:
    """Whether the GPU's kernels can be compiled here."""
    return importlib.util.find_spec("triton") is not None


def _uses_triton(config: ModelConfig, device: torch.device) -> bool:
    return config.kernels != "torch" and device.type == "cuda" and has_triton()


def _log_agreement(agreement: Agreement) -> None:
    logger.info(
        "against transformers: KL divergence %.2g, %.0f %% of the likeliest tokens alike",
        agreement.kl_divergence,
        100 * agreement.greedy,
    )


def _make_native(decoder: PackedDecoder, library: ctypes.CDLL, num_blocks: int) -> Forward:
    return NativeForward(decoder, library, num_blocks, num_threads=torch.get_num_threads())


def _transformers_body(
    model: Any,
    layers: Sequence[LayerShape],
    check: SelfCheck | None,
    read: Callable[[], Any],
    *,
    by_triton: bool,
) -> Body:
    """Step a model's own modules, with linear layers laid out for this processor if they may be.

    Args:
        model: As transformers built it.
        layers: What each layer stores.
        check: Compares with the untouched model, if asked for.
        read: Reads the model again, when what was made of it turned out wrong.
        by_triton: Whether its modules attend by our GPU kernels.
    """
    weights = {p.data_ptr(): p.numel() * p.element_size() for p in model.parameters()}
    dtype = model.dtype
    with torch.inference_mode():
        num_packed = prepack_linears(model)
    try:
        make_forward = _checked_modules(model, layers, check, by_triton=by_triton)
    except SelfCheckFailed as error:
        if not num_packed and not by_triton:
            raise
        what = "attention is torch's" if by_triton else "its linear layers stay as they are"
        logger.info("%s: %s", what, error)
        del model
        make_forward = _checked_modules(read(), layers, check, by_triton=False)
    return Body("transformers", make_forward, layers, dtype, sum(weights.values()))


def _checked_modules(
    model: Any, layers: Sequence[LayerShape], check: SelfCheck | None, *, by_triton: bool
) -> Callable[[int], Forward]:
    model.set_attn_implementation(ATTENTION_NAME)
    if drop_payloads(model):
        logger.info("transformers' own modules multiply from dequantised weights")
    make_attention: MakeAttention | None = None
    if by_triton:
        from engine.gpu.attention.paged_attention import PagedAttention

        make_attention = PagedAttention

    def make_forward(num_blocks: int) -> Forward:
        return TransformersForward(model, layers, num_blocks, make_attention)

    if check is not None:
        check.compare(make_forward)
    return make_forward
