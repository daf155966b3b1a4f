"""The load-time comparison: quick, quiet, and not to be fooled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from engine.attention.interface import ATTENTION_NAME, AttentionCall, register_attention
from engine.attention.reference import ReferenceAttention
from engine.errors import SelfCheckFailed, UnsupportedModel
from engine.model.probe import probe_layers
from engine.model.self_check import Agreement, SelfCheck
from engine.model.transformers_forward import TransformersForward
from tests.support.tiny_models import CONTEXT, FAMILIES, make_model

register_attention()


def compare(model: Any, *, max_model_len: int = CONTEXT) -> Agreement:
    """Compare a model with itself under our attention."""
    layers, _ = probe_layers(model)
    check = SelfCheck(model, layers, max_model_len=max_model_len)
    model.set_attn_implementation(ATTENTION_NAME)
    return check.compare(lambda num_blocks: TransformersForward(model, layers, num_blocks))


@pytest.mark.parametrize(
    ("dtype", "bound"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)], ids=["float32", "bfloat16"]
)
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_supported_families_pass(family: str, dtype: torch.dtype, bound: float) -> None:
    """With room to spare."""
    found = compare(make_model(family).to(dtype))
    assert found.difference < bound
    assert found.kl_divergence < 0.1
    assert found.greedy > 0.8


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("wrong", ["window", "softcap", "scaling"])
def test_an_attention_that_leaves_something_out_is_found(
    monkeypatch: pytest.MonkeyPatch, wrong: str, dtype: torch.dtype
) -> None:
    """A forgotten window, cap or scale is more than rounding, in either precision."""
    true_attend = ReferenceAttention.attend
    left_out: dict[str, Any] = {wrong: 1.0 if wrong == "scaling" else None}

    def attend(self: ReferenceAttention, call: AttentionCall) -> torch.Tensor:
        return true_attend(self, replace(call, **left_out))

    monkeypatch.setattr(ReferenceAttention, "attend", attend)
    with pytest.raises(SelfCheckFailed, match="differs"):
        compare(make_model("gemma2").to(dtype))


def test_looking_at_a_model_leaves_it_as_it_was() -> None:
    """Neither the attention nor any buffer has changed."""
    model = make_model("mistral")
    before = {name: value.clone() for name, value in model.named_buffers()}
    layers, _ = probe_layers(model)
    SelfCheck(model, layers, max_model_len=CONTEXT)
    assert model.config._attn_implementation == "eager"
    for name, value in model.named_buffers():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("longest", [2, 9, 17])
def test_a_short_context_is_checked_as_far_as_it_goes(longest: int) -> None:
    """No position beyond the limit is computed."""
    assert compare(make_model("llama"), max_model_len=longest).difference < 1e-5


def test_a_layer_that_does_not_attend_is_found() -> None:
    """As a recurrent layer in a hybrid would not."""
    model = make_model("qwen3")
    attention = model.model.layers[1].self_attn

    def recurrent(hidden_states: torch.Tensor, **kwargs: Any) -> tuple[torch.Tensor, None]:
        return hidden_states.cumsum(dim=1), None

    attention.forward = recurrent
    with pytest.raises(UnsupportedModel, match="only 2 of the 3 layers"):
        probe_layers(model)


def test_a_window_that_attention_is_not_told_of_is_found() -> None:
    """A short check could not see the difference, so the configuration is asked."""
    model = make_model("gemma3_text")
    attention = model.model.layers[0].self_attn
    attention.sliding_window = None
    with pytest.raises(UnsupportedModel, match="sliding window"):
        probe_layers(model)
