"""Small decoders to run on the kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from engine.attention.interface import register_attention
from engine.decoder.spec import DecoderSpec
from engine.decoder.surgery import take_apart
from engine.model.probe import probe_layers
from tests.support.tiny_models import make_model


def take_model_apart(model: Any, *, max_model_len: int = 128) -> DecoderSpec:
    """What surgery finds in a model, on the model's own device; takes its weights."""
    register_attention()
    with torch.inference_mode(), model.device:
        _, traits = probe_layers(model)
        return take_apart(model, traits, max_model_len=max_model_len)


def tiny_spec(*, sinks: bool = False, dtype: torch.dtype = torch.float32) -> DecoderSpec:
    """A Llama's, perhaps with sinks."""
    spec = take_model_apart(make_model("llama"))
    column = torch.zeros(spec.heads) if sinks else None
    layers = tuple(replace(layer, sinks=column) for layer in spec.layers)
    return replace(spec, layers=layers, dtype=dtype)
