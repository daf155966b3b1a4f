"""Inputs to try a model with: several that differ, from what the model says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from engine.errors import ConfigError

COUNT = 4
_SEED = 0
_LEAST_TOKENS, _STEP_TOKENS = 8, 5
_BATCH = 2
_SIDE = 32


def make_inputs(model: nn.Module) -> list[Any]:
    """Return inputs that differ in content and, where it is free, in shape.

    Raises:
        ConfigError: Nothing tells what the model takes.
    """
    generator = torch.Generator().manual_seed(_SEED)
    if hasattr(model, "main_input_name") and hasattr(model, "config"):
        return [_for_transformers(model, number, generator) for number in range(COUNT)]
    for module in model.modules():
        shape = _shape_for(module)
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            shape = (_BATCH, _LEAST_TOKENS)
            count = module.num_embeddings
            return [torch.randint(count, shape, generator=generator) for _ in range(COUNT)]
        if shape is not None:
            dtype = next((p.dtype for p in model.parameters()), torch.float32)
            return [torch.randn(shape, generator=generator).to(dtype) for _ in range(COUNT)]
    raise ConfigError(
        f"nothing tells what {type(model).__name__} takes; let the callable return the model and a "
        "list of inputs (each a tensor, a tuple of arguments, or a dictionary of named ones)"
    )


def compute(model: nn.Module, given: Any) -> object:
    """Compute an input, of which the forward gets a copy, without gradients."""
    given = _copy(given)
    with torch.inference_mode():  # holds for this thread alone
        if isinstance(given, Mapping):
            return model(**given)
        return model(*given) if isinstance(given, tuple) else model(given)


def _for_transformers(model: Any, number: int, generator: torch.Generator) -> dict[str, Any]:
    config, name = model.config, model.main_input_name
    if name == "input_ids":
        vocab_size = int(config.get_text_config().vocab_size)
        length = _LEAST_TOKENS + _STEP_TOKENS * number
        ids = torch.randint(vocab_size, (1, length), generator=generator)
        given: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if getattr(config, "is_encoder_decoder", False):
            given["decoder_input_ids"] = ids[:, :_LEAST_TOKENS]
        return given
    if name == "pixel_values":
        side = getattr(config, "image_size", _SIDE)
        height, width = side if isinstance(side, list | tuple) else (side, side)
        shape = (1, getattr(config, "num_channels", 3), height, width)
        return {name: torch.randn(shape, generator=generator).to(model.dtype)}
    raise ConfigError(
        f"{type(model).__name__} takes {name}, which is not made up here; name a callable that "
        "returns the model and a list of inputs"
    )


def _shape_for(module: nn.Module) -> tuple[int, ...] | None:
    """Return a shape that the first module with a size of its own takes."""
    if any(map(is_lazy, module.parameters(recurse=False))):
        return None  # it takes whatever comes first
    if isinstance(module, nn.Linear):
        return (_BATCH, module.in_features)
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return (_BATCH, module.in_channels, *(_SIDE for _ in module.kernel_size))
    if isinstance(module, nn.BatchNorm1d):
        return (_BATCH, module.num_features)
    if isinstance(module, nn.BatchNorm2d):
        return (_BATCH, module.num_features, _SIDE, _SIDE)
    if isinstance(module, nn.LayerNorm):
        return (_BATCH, *module.normalized_shape)
    if isinstance(module, nn.RNNBase):
        return (_BATCH, _LEAST_TOKENS, module.input_size)
    return None


def _copy(given: Any) -> Any:
    if isinstance(given, torch.Tensor):
        return given.clone()
    if isinstance(given, Mapping):  # transformers' tokenizers give one that is no dictionary
        return {name: _copy(value) for name, value in given.items()}
    if isinstance(given, list | tuple):
        return type(given)(_copy(value) for value in given)
    return given
