"""What computes a loaded model's steps: kernels of ours, or transformers' own modules.

On a CPU the kernels are compiled from C++ and compute a whole step; on a GPU they are Triton's,
with torch's products between them. What is chosen is compared with the untouched model first.
"""

from __future__ import annotations

import ctypes
import importlib.util
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch

from engine.attention.interface import ATTENTION_NAME
from engine.attention.kv_store import LayerShape
from engine.attention.traits import AttentionTraits
from engine.config import ModelConfig
from engine.decoder.pack import PackedDecoder
from engine.decoder.surgery import NotRecognised, take_apart
from engine.errors import SelfCheckFailed, UnsupportedModel
from engine.model.forward import Forward
from engine.model.native_forward import NativeForward
from engine.model.prepacked import prepack_linears
from engine.model.probe import probe_layers
from engine.model.self_check import Agreement, SelfCheck
from engine.model.transformers_forward import MakeAttention, TransformersForward
from engine.native.build import KernelsUnavailable, load_library

logger = logging.getLogger(__name__)

Note = Callable[[str], None]
"""Called with a short phrase for what is being done."""

_QUANTISED_TOLERANCE = 0.5
"""Of the logits' spread: eight bits cost more than rounding, and a wrong structure costs all."""


@dataclass(frozen=True, slots=True)
class Body:
    """Something that steps.

    Attributes:
        name: Which of them.
        make_forward: Given a number of KV blocks, returns it with memory of its own.
        layers: What each layer stores per token.
        weight_bytes: Memory that the weights take.
    """

    name: Literal["native", "triton", "transformers"]
    make_forward: Callable[[int], Forward]
    layers: Sequence[LayerShape]
    weight_bytes: int


def make_body(
    read: Callable[[], Any],
    config: ModelConfig,
    device: torch.device,
    max_model_len: int,
    note: Note,
) -> Body:
    """Read a model and make the fastest body that is right for it.

    Args:
        read: Reads the model as transformers builds it; called again when its weights were taken
            for a body that turned out wrong.
        config: Of the model.
        device: Where it is.
        max_model_len: Longest sequence.
        note: Hears what is being done.

    Raises:
        UnsupportedModel: It is of a kind that is not served, or not with what was asked for.
        SelfCheckFailed: Paged attention disagrees with the untouched model.
    """
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
            return _gpu_body(model, traits, config, device, max_model_len, check)
        return _native_body(model, traits, config, max_model_len, check, note)
    except (NotRecognised, KernelsUnavailable, SelfCheckFailed) as error:
        if (asked := _only_by_kernels(config)) is not None:
            raise UnsupportedModel(
                f"{asked} needs the compiled kernels, and they do not run {architecture} here: "
                f"{error}; leave it out, or mend that"
            ) from error
        logger.info("%s runs on transformers' own modules: %s", architecture, error)
        if isinstance(error, SelfCheckFailed):
            del model
            model = read()  # its weights are gone
        return _transformers_body(
            model, layers, check, read, by_triton=_uses_triton(config, device)
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
    return Body("native", make_forward, layers, decoder.num_bytes)


def _gpu_body(
    model: Any,
    traits: Sequence[AttentionTraits],
    config: ModelConfig,
    device: torch.device,
    max_model_len: int,
    check: SelfCheck | None,
) -> Body:
    """Hand a model's weights over to the GPU's kernels, once it is understood.

    Raises:
        NotRecognised: Its structure is not understood.
        KernelsUnavailable: There is no Triton.
        SelfCheckFailed: It was understood wrongly.
    """
    if not has_triton():
        raise KernelsUnavailable("Triton is not installed; pip install triton")
    from engine.gpu.weights import DecoderWeights
    from engine.model.gpu_forward import GpuForward

    with torch.inference_mode(), device:  # what surgery tries modules with lies on the device too
        spec = take_apart(model, traits, max_model_len=max_model_len)
        weights = DecoderWeights(
            spec,
            device,
            quantization=config.quantization,
            deterministic=config.deterministic,
        )
    make_forward = partial(GpuForward, weights)
    if check is not None:
        _log_agreement(check.compare(make_forward, tolerance=_tolerance(config)))
    layers = [
        LayerShape(spec.kv_heads, spec.head_dim, spec.head_dim, trait.window) for trait in traits
    ]
    return Body("triton", make_forward, layers, weights.num_bytes)


def _only_by_kernels(config: ModelConfig) -> str | None:
    """Return what was asked for that transformers' own modules do not give."""
    if config.quantization is not None:
        return f"quantization {config.quantization}"
    return "deterministic" if config.deterministic else None


def _tolerance(config: ModelConfig) -> float | None:
    return None if config.quantization is None else _QUANTISED_TOLERANCE


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
    return Body("transformers", make_forward, layers, sum(weights.values()))


def _checked_modules(
    model: Any, layers: Sequence[LayerShape], check: SelfCheck | None, *, by_triton: bool
) -> Callable[[int], Forward]:
    model.set_attn_implementation(ATTENTION_NAME)
    make_attention: MakeAttention | None = None
    if by_triton:
        from engine.gpu.paged_attention import PagedAttention

        make_attention = PagedAttention

    def make_forward(num_blocks: int) -> Forward:
        return TransformersForward(model, layers, num_blocks, make_attention)

    if check is not None:
        check.compare(make_forward)
    return make_forward
