"""What a configuration says of quantised weights, and the sentence for what is not read."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import UnsupportedModel
from engine.model.quantised.scheme import WHOLE, Scheme, WeightFormat, read_scheme

AWQ: dict[str, Any] = {"quant_method": "awq", "bits": 4, "group_size": 64, "version": "GEMM"}
GPTQ: dict[str, Any] = {"quant_method": "gptq", "bits": 4, "group_size": 128}
INT4: dict[str, Any] = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32}


def read(entry: Any) -> Scheme:
    """Read an entry that says something."""
    scheme = read_scheme({"quantization_config": entry}, "the model")
    assert scheme is not None
    return scheme


def only(entry: Any) -> WeightFormat:
    """Return the format of every layer."""
    found = read(entry).format_of("model.layers.0.mlp.up_proj")
    assert found is not None
    return found


def compressed(weights: Any, layout: str = "pack-quantized", **more: Any) -> dict[str, Any]:
    """compressed-tensors with one group."""
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {
        "quant_method": "compressed-tensors",
        "format": layout,
        "config_groups": groups,
        **more,
    }


def test_a_model_that_is_not_quantised_has_no_scheme() -> None:
    """Neither without an entry nor with an empty one of JSON's."""
    assert read_scheme({}, "the model") is None
    assert read_scheme({"quantization_config": None}, "the model") is None


def test_only_a_kv_cache_that_was_rounded_is_no_scheme() -> None:
    """Its weights are as they were."""
    entry = {"quant_method": "compressed-tensors", "config_groups": {}, "kv_cache_scheme": {}}
    assert read_scheme({"quantization_config": entry}, "the model") is None


@pytest.mark.parametrize(
    ("more", "block"),
    [
        ({"weight_block_size": [128, 64]}, (128, 64)),
        ({"weight_block_size": None}, (WHOLE, WHOLE)),
        ({"activation_scheme": "static"}, (WHOLE, WHOLE)),
    ],
)
def test_fp8_is_by_blocks_or_by_tensors(more: dict[str, Any], block: tuple[int, int]) -> None:
    """As DeepSeek and AutoFP8 write it."""
    found = only({"quant_method": "fp8", **more})
    assert (found.storage, found.kind, found.bits, found.block) == ("numbers", "float", 8, block)


@pytest.mark.parametrize(
    ("weights", "block"),
    [
        ({"strategy": "tensor"}, (WHOLE, WHOLE)),
        ({"strategy": "channel"}, (1, WHOLE)),
        ({"strategy": "group", "group_size": 32}, (1, 32)),
        ({"strategy": "block", "block_structure": [128, 128]}, (128, 128)),
        ({"strategy": "block", "block_structure": "128x64"}, (128, 64)),
        ({}, (WHOLE, WHOLE)),
        ({"group_size": -1}, (1, WHOLE)),
        ({"group_size": 16}, (1, 16)),
    ],
)
def test_compressed_scales_belong_to_blocks(
    weights: dict[str, Any], block: tuple[int, int]
) -> None:
    """A strategy that is left out follows from the group's size."""
    assert only(compressed({"num_bits": 8, **weights}, "int-quantized")).block == block


def test_each_group_of_compressed_tensors_has_its_format() -> None:
    """A layer's name comes before a pattern for its class, and a group may say how it is stored."""
    entry = compressed(INT4, "mixed-precision")
    entry["config_groups"] = {
        "group_0": {"targets": ["Linear"], "format": "pack-quantized", "weights": INT4},
        "group_1": {
            "targets": ["re:.*down_proj"],
            "format": "float-quantized",
            "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
        },
    }
    scheme = read(entry)
    up, down = (scheme.format_of(f"model.layers.0.mlp.{name}_proj") for name in ("up", "down"))
    assert up is not None
    assert down is not None
    assert (up.storage, up.kind) == ("words", "int")
    assert (down.storage, down.kind) == ("numbers", "float")


def test_a_layer_that_no_group_names_has_no_format() -> None:
    """When there are several."""
    entry = compressed(INT4)
    group = {"weights": INT4}
    entry["config_groups"] = {
        "a": {**group, "targets": ["re:.*up_proj"]},
        "b": {**group, "targets": ["re:.*down_proj"]},
    }
    assert read(entry).format_of("lm_head") is None


def test_zero_points_follow_from_asymmetry() -> None:
    """compressed-tensors stores them only there."""
    assert only(compressed({**INT4, "symmetric": False})).needs_zeros
    assert not only(compressed({**INT4, "symmetric": True})).needs_zeros


@pytest.mark.parametrize(
    ("version", "shift"),
    [({}, 1), ({"checkpoint_format": "gptq"}, 1), ({"checkpoint_format": "gptq_v2"}, 0)],
)
def test_gptq_says_whether_zero_points_are_less_one(version: dict[str, Any], shift: int) -> None:
    """The first version stored them so."""
    found = only({**GPTQ, "bits": 8, **version})
    assert (found.zero_shift, found.bits, found.block) == (shift, 8, (1, 128))


def test_one_group_may_span_all_inputs() -> None:
    """GPTQ writes -1."""
    assert only({**GPTQ, "group_size": -1}).block == (1, WHOLE)


def test_awqs_older_names_are_known() -> None:
    """AutoAWQ wrote them so in files of its own."""
    found = only({"quant_method": "awq", "w_bit": 4, "q_group_size": 32})
    assert (found.storage, found.block) == ("awq", (1, 32))


@pytest.mark.parametrize(
    "entry",
    [
        {"quant_method": "fp8", "modules_to_not_convert": ["lm_head"]},
        {"quant_method": "fp8", "ignored_layers": ["lm_head"]},
        {**AWQ, "modules_to_not_convert": ["lm_head"]},
        compressed(INT4, ignore=["lm_head"]),
        compressed(INT4, ignore=["re:.*head"]),
        compressed(INT4, ignore=["re:(", "lm_head"]),
    ],
)
def test_layers_that_stay_as_they_were_are_known(entry: dict[str, Any]) -> None:
    """By name or by pattern, under whichever key; a broken pattern names nothing."""
    scheme = read(entry)
    assert scheme.ignores("lm_head")
    assert not scheme.ignores("model.layers.0.mlp.up_proj")


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("int4", "where an object belongs"),
        ({}, "'unnamed'"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "'bitsandbytes'"),
        ({"quant_method": "mxfp4"}, "'mxfp4'"),
        ({"quant_method": "fp8", "fmt": "e5m2"}, "FP8 of the kind 'e5m2'"),
        ({"quant_method": "fp8", "weight_block_size": [128]}, r"weight_block_size \[128\]"),
        ({"quant_method": "fp8", "weight_block_size": [0, 128]}, r"weight_block_size \[0, 128\]"),
        ({"quant_method": "fp8", "ignored_layers": "lm_head"}, "ignored_layers 'lm_head'"),
        ({**AWQ, "version": "gemv"}, "AWQ of the version 'gemv'"),
        ({**AWQ, "backend": "llm-awq"}, "AWQ of the version 'llm-awq'"),
        ({**AWQ, "bits": 8}, "AWQ of 8 bits"),
        ({**AWQ, "group_size": 0}, "group_size 0"),
        ({**GPTQ, "bits": 3}, "GPTQ of 3 bits"),
        ({**GPTQ, "bits": "4"}, "bits '4'"),
        ({"quant_method": "gptq"}, "without saying its bits"),
        ({**GPTQ, "is_marlin_format": True}, "GPTQ of the format 'marlin'"),
        ({**GPTQ, "checkpoint_format": "bitblas"}, "GPTQ of the format 'bitblas'"),
        ({**GPTQ, "pack_dtype": "int8"}, "GPTQ packed into int8"),
        ({**GPTQ, "dynamic": {"+:.*down.*": {"bits": 8}}}, "other settings for"),
        (compressed({"num_bits": 3}), "pack-quantized of 3 bits"),
        (compressed({"num_bits": 4, "type": "float"}, "nvfp4-pack-quantized"), "nvfp4-pack"),
        (compressed({"num_bits": 8, "type": "float"}), "pack-quantized float of 8 bits"),
        (compressed(INT4, "marlin-24"), "marlin-24"),
        (compressed({**INT4, "strategy": "tensor_group"}), "scales by tensor_group"),
        (compressed({**INT4, "group_size": "32"}), "group_size '32'"),
        (compressed(INT4, sparsity_config={"format": "sparse-24-bitmask"}), "sparse"),
        (compressed(INT4, transform_config={"config_groups": {"u": {}}}), "rotations"),
        (compressed([4]), r"weights \[4\] where an object belongs"),
        ({**compressed(INT4), "config_groups": {"W4A16": ["Linear"]}}, "where an object belongs"),
    ],
)
def test_what_is_not_read_is_refused(entry: Any, reason: str) -> None:
    """With what it is; the rest of the sentence says what is read."""
    with pytest.raises(UnsupportedModel, match=reason) as refused:
        read_scheme({"quantization_config": entry}, "the model")
    assert entry == "int4" or "AWQ (gemm, 4 bits)" in refused.value.message


def test_what_gptq_leaves_out_is_harmless() -> None:
    """Its layers are stored as they were."""
    assert read({**GPTQ, "dynamic": {"-:.*down.*": {}}}).name == "GPTQ of 4 bits"


def test_a_refusal_names_the_model() -> None:
    """Somebody may serve several."""
    with pytest.raises(UnsupportedModel, match="Llama is quantised by the method 'hqq'"):
        read_scheme({"quantization_config": {"quant_method": "hqq"}}, "Llama")
