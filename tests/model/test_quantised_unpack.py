"""From stored tensors to numbers, scales and zero points, against packers of the tests' own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.errors import ModelError, ModelNotFound, UnsupportedModel
from engine.model.quantised import unpack as module
from engine.model.quantised.scheme import WeightFormat, read_scheme
from engine.model.quantised.unpack import Unpacked, unpack
from tests.support.quantised_checkpoints import FORMATS, Array, Format, gptq

SHAPE = (40, 48)


def weight() -> Array:
    """A weight whose channels differ in size."""
    rng = np.random.default_rng(5)
    sizes = np.exp(rng.normal(size=(SHAPE[0], 1)))
    return (rng.normal(size=SHAPE) * sizes).astype(np.float32)


def layout_of(fmt: Format) -> WeightFormat:
    """What the configuration says of every layer."""
    scheme = read_scheme({"quantization_config": fmt.config}, "the model")
    assert scheme is not None
    layout = scheme.format_of("layer")
    assert layout is not None
    return layout


def packed(name: str) -> tuple[dict[str, Tensor], Array]:
    """A layer's tensors in a format, and what they stand for."""
    tensors, dense = FORMATS[name].pack(weight())
    return {leaf: tensor.contiguous() for leaf, tensor in tensors.items()}, dense


def unpacked(name: str, **changes: Tensor | None) -> Unpacked:
    """Unpack a layer with some of its tensors changed, or taken away."""
    tensors = {**packed(name)[0], **changes}
    kept = {leaf: tensor for leaf, tensor in tensors.items() if tensor is not None}
    return unpack(kept, layout_of(FORMATS[name]), "layer")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_what_its_definition_says(name: str) -> None:
    """To the bit, in float32."""
    _, dense = packed(name)
    assert torch.equal(unpacked(name).dense(torch.float32), torch.from_numpy(dense))


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"gptq-4-desc-act"}))
def test_a_payload_stands_for_the_same_weight(name: str) -> None:
    """Where its columns lie in the order of their groups."""
    found = unpacked(name)
    assert found.order is None
    assert torch.equal(found.weight.dequantise(), found.dense(torch.float32))


@pytest.mark.parametrize("name", FORMATS)
def test_a_weight_is_rounded_once(name: str) -> None:
    """From float32 to the model's type."""
    found = unpacked(name)
    assert torch.equal(found.dense(torch.bfloat16), found.dense(torch.float32).bfloat16())


@pytest.mark.parametrize("name", ["fp8-blocks", "fp8-tensor", "awq", "gptq-4-desc-act"])
def test_slabs_leave_no_seam(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large weight is dequantised some rows at a time."""
    whole = unpacked(name).dense(torch.float32)
    monkeypatch.setattr(module, "_SLAB", 100)
    assert torch.equal(unpacked(name).dense(torch.float32), whole)


@pytest.mark.parametrize(
    ("name", "dtype", "bits", "block", "has_zeros"),
    [
        ("fp8-blocks", torch.float8_e4m3fn, 8, (32, 48), False),
        ("fp8-tensor", torch.float8_e4m3fn, 8, SHAPE, False),
        ("compressed-fp8-channel", torch.float8_e4m3fn, 8, (1, 48), False),
        ("compressed-int8-channel", torch.int8, 8, (1, 48), False),
        ("compressed-int8-channel-zeros", torch.int8, 8, (1, 48), True),
        ("compressed-int4-group", torch.uint8, 4, (1, 16), False),
        ("compressed-int4-group-zeros", torch.uint8, 4, (1, 16), True),
        ("compressed-int8-packed", torch.int8, 8, (1, 16), True),
        ("awq", torch.uint8, 4, (1, 16), True),
        ("gptq-4", torch.uint8, 4, (1, 16), True),
        ("gptq-4-symmetric", torch.uint8, 4, (1, 16), False),
        ("gptq-8-symmetric", torch.int8, 8, (1, 16), False),
    ],
)
def test_a_payload_is_of_few_kinds(
    name: str, dtype: torch.dtype, bits: int, block: tuple[int, int], has_zeros: bool
) -> None:
    """Whatever the format; zero points in the middle are left out."""
    found = unpacked(name).weight
    assert (found.payload.dtype, found.bits, found.block) == (dtype, bits, block)
    assert (found.zeros is not None) == has_zeros
    assert found.scales.dtype == torch.float32
    assert found.payload.is_contiguous()


def test_words_hold_the_first_number_lowest() -> None:
    """GPTQ's inputs, and its zero points less one."""
    tensors = {
        "qweight": torch.tensor([[0x76543210]], dtype=torch.int32).repeat(1, 8),
        "qzeros": torch.tensor([[0x66543210]], dtype=torch.int32),
        "scales": torch.ones(1, 8),
    }
    found = unpack(tensors, layout_of(gptq(4, 8)), "layer").weight
    assert found.payload.tolist() == [list(range(8))] * 8
    assert found.zeros is not None
    assert found.zeros[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 7]


def test_awqs_outputs_lie_in_an_order_of_their_own() -> None:
    """0 2 4 6 1 3 5 7, from the lowest nibble."""
    word = torch.tensor([[0x75316420]], dtype=torch.int32)
    tensors = {"qweight": word.repeat(16, 1), "qzeros": word, "scales": torch.ones(1, 8)}
    found = unpack(tensors, layout_of(FORMATS["awq"]), "layer").weight
    assert found.payload.tolist() == [[output] * 16 for output in range(8)]
    assert found.zeros is not None
    assert found.zeros[:, 0].tolist() == list(range(8))


def test_gptqs_zero_points_wrap_round() -> None:
    """Its first version stored 0 as 15, being less one."""
    zeros = torch.full_like(packed("gptq-4")[0]["qzeros"], -1)
    found = unpacked("gptq-4", qzeros=zeros).weight
    assert found.zeros is not None
    assert not found.zeros.any()


def test_inputs_in_the_order_of_their_activations_are_put_back() -> None:
    """Their payload lies by groups, and knows where each column belongs."""
    found = unpacked("gptq-4-desc-act")
    assert found.order is not None
    by_group = found.weight.dequantise()
    assert torch.equal(found.dense(torch.float32)[:, found.order], by_group)


def test_a_group_index_that_was_never_used_is_no_order() -> None:
    """compressed-tensors may leave -1 there."""
    unused = torch.full((SHAPE[1],), -1, dtype=torch.int32)
    assert unpacked("compressed-int4-group", weight_g_idx=unused).order is None


def test_compressed_zero_points_may_be_one_by_one() -> None:
    """Early versions did not pack them."""
    tensors, dense = packed("compressed-int4-group-zeros")
    zeros = unpacked("compressed-int4-group-zeros").weight.zeros
    assert zeros is not None
    early = unpacked("compressed-int4-group-zeros", weight_zero_point=(zeros - 8).to(torch.int8))
    assert torch.equal(early.dense(torch.float32), torch.from_numpy(dense))
    assert tensors["weight_zero_point"].dtype == torch.int32


def test_zero_points_of_a_symmetric_weight_may_be_there() -> None:
    """Early versions stored noughts."""
    zeros = torch.zeros(SHAPE[0], 1, dtype=torch.int8)
    assert unpacked("compressed-int8-channel", weight_zero_point=zeros).weight.zeros is None


@pytest.mark.parametrize(
    ("name", "leaf"),
    [
        ("fp8-blocks", "weight_scale_inv"),
        ("fp8-blocks", "weight"),
        ("compressed-int8-channel-zeros", "weight_zero_point"),
        ("compressed-int4-group", "weight_scale"),
        ("compressed-int4-group", "weight_packed"),
        ("compressed-int4-group", "weight_shape"),
        ("compressed-int4-group-zeros", "weight_zero_point"),
        ("awq", "qweight"),
        ("awq", "qzeros"),
        ("gptq-4", "scales"),
        ("gptq-4", "qzeros"),
    ],
)
def test_a_missing_tensor_is_named(name: str, leaf: str) -> None:
    """With its layer."""
    gone: dict[str, Any] = {leaf: None}
    with pytest.raises(ModelNotFound, match=r"layer is quantised but has no w|layer .* no [qs]"):
        unpacked(name, **gone)


@pytest.mark.parametrize(
    ("name", "leaf", "value", "reason"),
    [
        ("fp8-blocks", "weight", torch.zeros(SHAPE), "weight is float32 where float8_e4m3fn"),
        ("fp8-blocks", "weight", torch.zeros(4).to(torch.float8_e4m3fn), "1 dimensions where 2"),
        ("fp8-blocks", "weight_scale_inv", torch.ones(2, 2), r"\[2, 2\] where \[2, 1\]"),
        ("fp8-blocks", "weight_scale_inv", torch.ones(2, 1).byte(), "scales are uint8"),
        ("fp8-blocks", "weight_scale_inv", torch.tensor([[1.0], [torch.nan]]), "not finite"),
        ("fp8-tensor", "weight_scale", torch.tensor(torch.inf), "not finite"),
        ("fp8-tensor", "weight_scale", torch.ones(3), r"scales of \[3\] where \[1, 1\]"),
        ("fp8-tensor", "weight", torch.empty(0, 4).to(torch.float8_e4m3fn), r"weight of \[0, 4\]"),
        ("compressed-int8-channel", "weight", torch.zeros(SHAPE), "weight is float32 where int8"),
        ("compressed-int8-channel-zeros", "weight_zero_point", torch.ones(3), "zero points of"),
        ("compressed-int4-group", "weight_packed", torch.zeros(40, 5).int(), "cannot hold"),
        ("compressed-int4-group", "weight_shape", torch.tensor([40]), r"weight_shape is \[40\]"),
        ("compressed-int4-group", "weight_shape", torch.tensor([40, 96]), "cannot hold"),
        ("compressed-int4-group", "weight_g_idx", torch.zeros(48).int(), "does not put 48 inputs"),
        ("compressed-int4-group-zeros", "weight_zero_point", torch.zeros(4, 3).int(), "5 words"),
        ("awq", "qweight", torch.zeros(48, 5), "qweight is float32 where int32"),
        ("awq", "scales", torch.ones(40), "scales has 1 dimensions"),
        ("awq", "scales", torch.ones(4, 40), r"scales of \[40, 4\] where \[40, 3\]"),
        ("awq", "qzeros", torch.zeros(3, 4).int(), "zero points of"),
        ("gptq-4", "qzeros", torch.zeros(3, 4).int(), "5 words for 40"),
        ("gptq-4", "g_idx", torch.zeros(7).int(), "does not put 48 inputs into groups of 16"),
        ("gptq-4", "g_idx", torch.arange(48).int(), "does not put 48 inputs into groups of 16"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    name: str, leaf: str, value: Tensor, reason: str
) -> None:
    """With what is there and what belongs there."""
    changed: dict[str, Any] = {leaf: value}
    with pytest.raises(UnsupportedModel, match=f"layer: .*{reason}"):
        unpacked(name, **changed)


@pytest.mark.slow
def test_no_random_tensor_is_a_traceback() -> None:
    """Whatever a file holds, it is unpacked or refused in a sentence."""
    rng = torch.Generator().manual_seed(1)
    dtypes = [torch.int32, torch.float32, torch.int8, torch.float8_e4m3fn, torch.int64]
    refused = 0
    for name in FORMATS:
        for leaf in packed(name)[0]:
            for dtype in dtypes:
                for dim in range(4):
                    shape = torch.randint(0, 50, (dim,), generator=rng).tolist()
                    try:
                        unpacked(name, **{leaf: torch.ones(shape).to(dtype)})
                    except ModelError:
                        refused += 1
    assert refused > 1000


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [4, 8])
def test_compressed_tensors_own_packing_is_read(bits: int, symmetric: bool) -> None:
    """The library that defines the format, as a second oracle where it is installed."""
    quantization: Any = pytest.importorskip("compressed_tensors.quantization")
    compressors: Any = pytest.importorskip("compressed_tensors.compressors")
    args = quantization.QuantizationArgs(
        num_bits=bits, type="int", symmetric=symmetric, strategy="group", group_size=16
    )
    scheme = quantization.QuantizationScheme(targets=["Linear"], weights=args)
    own = torch.from_numpy(weight())
    scale = own.view(SHAPE[0], -1, 16).abs().amax(-1) / (2 ** (bits - 1) - 1)
    state = {"weight": own, "weight_scale": scale}
    if not symmetric:
        zeros = torch.randint(-4, 4, scale.shape, generator=torch.Generator().manual_seed(2))
        state["weight_zero_point"] = zeros.to(torch.int8)
    packer = compressors.PackedQuantizationCompressor
    stored = packer.compress(state, scheme)
    config = {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "config_groups": {"group_0": scheme.model_dump(mode="json")},
    }
    found = unpack(stored, layout_of(Format(config, FORMATS["awq"].pack)), "layer")
    assert torch.equal(found.dense(torch.float32), packer.decompress(stored, scheme)["weight"])


def test_awq_is_what_compressed_tensors_takes_it_for() -> None:
    """Its converter, where it is installed, makes pack-quantized tensors of the same weight."""
    converters: Any = pytest.importorskip("compressed_tensors.entrypoints.convert.converters")
    tensors, dense = packed("awq")
    named = {f"layer.{leaf}": tensor for leaf, tensor in tensors.items()}
    converted = converters.AutoAWQConverter(group_size=16).process(named)
    stored = {name.removeprefix("layer."): tensor for name, tensor in converted.items()}
    found = unpack(stored, layout_of(FORMATS["compressed-int4-group-zeros"]), "layer")
    assert torch.equal(found.dense(torch.float32), torch.from_numpy(dense))
