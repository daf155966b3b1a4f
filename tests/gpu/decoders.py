"""Small decoders to run on the kernels."""

from __future__ import annotations

from dataclasses import replace

import torch

from engine.attention.interface import register_attention
from engine.decoder.spec import DecoderSpec
from engine.decoder.surgery import take_apart
from engine.model.probe import probe_layers
from tests.support.tiny_models import make_model


def tiny_spec(*, sinks: bool = False, dtype: torch.dtype = torch.float32) -> DecoderSpec:
    """A Llama's, perhaps with sinks."""
    register_attention()
    model = make_model("llama")
    with torch.inference_mode():
        _, traits = probe_layers(model)
        spec = take_apart(model, traits, max_model_len=128)
    column = torch.zeros(spec.heads) if sinks else None
    layers = tuple(replace(layer, sinks=column) for layer in spec.layers)
    return replace(spec, layers=layers, dtype=dtype)
