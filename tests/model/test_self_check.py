"""The load-time comparison: quick, quiet, and not to be fooled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from engine.attention.interface import ATTENTION_NAME, AttentionCall
from engine.attention.reference import ReferenceAttention
from engine.config import DType
from engine.errors import SelfCheckFailed, UnsupportedModel
from engine.model.probe import probe_layers
from engine.model.self_check import run_self_check
from tests.model.conftest import Load
from tests.support.tiny_models import CONTEXT, FAMILIES


@contextmanager
def own_attention(model: Any) -> Iterator[Any]:
    """Give a loaded model its own attention back for a while."""
    model.set_attn_implementation("eager")
    try:
        yield model
    finally:
        model.set_attn_implementation(ATTENTION_NAME)


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-5), ("bfloat16", 0.05)])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_supported_families_pass(load: Load, family: str, dtype: DType, bound: float) -> None:
    """With room to spare."""
    loaded = load(family, dtype)
    with own_attention(loaded.model) as model:
        assert run_self_check(model, loaded.layers, max_model_len=CONTEXT) < bound


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("wrong", ["window", "softcap", "scaling"])
def test_an_attention_that_leaves_something_out_is_found(
    load: Load, monkeypatch: pytest.MonkeyPatch, wrong: str, dtype: DType
) -> None:
    """A forgotten window, cap or scale is more than rounding, in either precision."""
    from dataclasses import replace

    true_attend = ReferenceAttention.attend
    left_out: dict[str, Any] = {wrong: 1.0 if wrong == "scaling" else None}

    def attend(self: ReferenceAttention, call: AttentionCall) -> torch.Tensor:
        return true_attend(self, replace(call, **left_out))

    loaded = load("gemma2", dtype)
    monkeypatch.setattr(ReferenceAttention, "attend", attend)
    with own_attention(loaded.model) as model, pytest.raises(SelfCheckFailed, match="differs"):
        run_self_check(model, loaded.layers, max_model_len=CONTEXT)


def test_the_model_is_left_as_it_was(load: Load) -> None:
    """Neither the attention nor any buffer has changed, also after a failure."""
    loaded = load("mistral")
    with own_attention(loaded.model) as model:
        before = {name: value.clone() for name, value in model.named_buffers()}
        run_self_check(model, loaded.layers, max_model_len=CONTEXT)
        assert model.config._attn_implementation == "eager"
        for name, value in model.named_buffers():
            assert torch.equal(value, before[name])


@pytest.mark.parametrize("longest", [2, 9, 17])
def test_a_short_context_is_checked_as_far_as_it_goes(load: Load, longest: int) -> None:
    """No position beyond the limit is computed."""
    loaded = load("llama")
    with own_attention(loaded.model) as model:
        assert run_self_check(model, loaded.layers, max_model_len=longest) < 1e-5


def test_a_layer_that_does_not_attend_is_found(load: Load) -> None:
    """As a recurrent layer in a hybrid would not."""
    model = load("qwen3").model
    attention = model.model.layers[1].self_attn
    true_forward = attention.forward

    def recurrent(hidden_states: torch.Tensor, **kwargs: Any) -> tuple[torch.Tensor, None]:
        return hidden_states.cumsum(dim=1), None

    attention.forward = recurrent
    try:
        with pytest.raises(UnsupportedModel, match="only 2 of the 3 layers"):
            probe_layers(model)
    finally:
        attention.forward = true_forward


def test_a_window_that_attention_is_not_told_of_is_found(load: Load) -> None:
    """A short check could not see the difference, so the configuration is asked."""
    model = load("gemma3_text").model
    attention = model.model.layers[0].self_attn
    window = attention.sliding_window
    attention.sliding_window = None
    try:
        with pytest.raises(UnsupportedModel, match="sliding window"):
            probe_layers(model)
    finally:
        attention.sliding_window = window
