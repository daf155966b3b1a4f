"""Taking a model apart by its structure."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from engine.attention.interface import register_attention
from engine.decoder.spec import DecoderSpec
from engine.decoder.surgery import NotRecognised, take_apart
from engine.model.probe import probe_layers
from tests.support.tiny_models import make_model

register_attention()


@torch.inference_mode()
def apart(model: Any) -> DecoderSpec:
    """Describe a model."""
    _, traits = probe_layers(model)
    return take_apart(model, traits, max_model_len=64)


def test_gemmas_norms_are_one_plus_their_weight() -> None:
    """The effective weight is found by trying."""
    model = make_model("gemma2")
    norm = model.base_model.layers[0].input_layernorm
    found = apart(model).layers[0].attention_norm
    assert found is not None
    assert torch.allclose(found, 1.0 + norm.weight, atol=1e-5)


def test_scales_are_measured() -> None:
    """Of embeddings, of what is added, and of the logits."""
    spec = apart(make_model("granite"))
    assert spec.embedding_scale == pytest.approx(1.5, rel=1e-4)
    assert (spec.residual_scale, spec.logit_scale) == (0.8, 2.0)
    assert spec.layers[0].scaling == 0.2


def test_a_sandwich_of_norms_is_told_from_a_plain_block() -> None:
    """The same name means another place in either."""
    plain, sandwich = apart(make_model("llama")).layers[0], apart(make_model("gemma2")).layers[0]
    assert plain.after_attention_norm is plain.after_mlp_norm is None
    assert plain.mlp_norm is not None
    assert sandwich.after_attention_norm is not None
    assert sandwich.after_mlp_norm is not None


def test_merged_and_separate_projections_are_both_read() -> None:
    """Phi-3 ships them merged."""
    phi, llama = apart(make_model("phi3")).layers[0], apart(make_model("llama")).layers[0]
    assert phi.qkv.out_features == 3 * 4 * 16
    assert llama.qkv.out_features == (4 + 2 + 2) * 16
    assert phi.gate_up.out_features == llama.gate_up.out_features == 2 * 112


def test_layers_without_positions_have_no_table() -> None:
    """Every second layer of this one is not rotated."""
    tables = [layer.rotary is None for layer in apart(make_model("smollm3")).layers]
    assert tables == [False, True, False]


def test_layers_share_their_rotary_tables() -> None:
    """One table per kind of layer."""
    layers = apart(make_model("gemma3_text")).layers
    assert layers[0].rotary is layers[2].rotary
    assert layers[0].rotary is not layers[1].rotary


def test_weights_are_handed_over_once_and_leave_the_model() -> None:
    """So that there is no second copy."""
    model = make_model("llama")
    linear = apart(model).layers[0].qkv
    weight, bias = linear.take()
    assert weight.shape == (128, 64)
    assert bias is None
    assert model.base_model.layers[0].self_attn.q_proj.weight.numel() == 0


def _more_weights(model: Any) -> None:
    model.base_model.layers[1].adapter = nn.Linear(4, 4)


def _own_weight(model: Any) -> None:
    model.base_model.layers[1].self_attn.gain = nn.Parameter(torch.ones(3))


def _layer_norm(model: Any) -> None:
    model.base_model.norm = nn.LayerNorm(64)


def _other_activation(model: Any) -> None:
    model.base_model.layers[0].mlp.act_fn = nn.ReLU()


def _other_epsilon(model: Any) -> None:
    model.base_model.layers[2].input_layernorm.variance_epsilon = 0.1


def _changing_rotary(model: Any) -> None:
    model.config.rope_parameters = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_more_weights, "adapter"),
        (_own_weight, "gain"),
        (_layer_norm, "LayerNorm"),
        (_other_activation, "ReLU"),
        (_other_epsilon, "epsilon"),
        (_changing_rotary, "dynamic"),
    ],
)
def test_what_is_not_understood_is_named(change: Any, named: str) -> None:
    """A part that nobody would compute is never passed over."""
    model = make_model("llama")
    change(model)
    with pytest.raises(NotRecognised, match=named):
        apart(model)


def test_head_norms_over_all_heads_keep_their_whole_width() -> None:
    """As in OLMo."""
    spec = apart(make_model("olmo2"))
    for layer in spec.layers:
        assert layer.query_norm is not None
        assert layer.key_norm is not None
        assert layer.query_norm.shape == (spec.heads * spec.head_dim,)
        assert layer.key_norm.shape == (spec.kv_heads * spec.head_dim,)


def test_head_norms_of_two_kinds_are_not_understood() -> None:
    """One over all heads of the queries, and none of the keys."""
    model = make_model("olmo2")
    model.base_model.layers[1].self_attn.k_norm = nn.Identity()
    with pytest.raises(NotRecognised, match="norms of queries and keys of widths"):
        apart(model)
