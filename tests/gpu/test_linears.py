"""Linear layers in every format, against float64 of what their weights stand for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from engine.decoder.quantised import Kind, QuantisedWeight, quantise_per_channel
from engine.decoder.spec import MergedLinear
from engine.gpu.linear.linears import (
    EXPANDS_ABOVE,
    Linear,
    PackedLinear,
    expanded,
    make_linear,
    make_whole,
)
from engine.gpu.linear.packed_weight import can_pack, pack, pack_plain
from tests.gpu.closeness import error

OUT, IN = 70, 304
"""Neither is a multiple of any tile."""
FP8 = torch.float8_e4m3fn
TOLERANCES = {torch.float32: 2e-6, torch.bfloat16: 5e-3}
"""Of the result; the interpreter cuts bfloat16 off where a GPU rounds it."""


@dataclass(frozen=True)
class Variant:
    """A format of weights."""

    name: str
    dtype: torch.dtype
    block: tuple[int, int]
    bits: Literal[4, 8] = 8
    zeros: bool = False

    def weight(self, out: int = OUT, inputs: int = IN, *, seed: int = 0) -> QuantisedWeight:
        """Random numbers of it."""
        generator = torch.Generator().manual_seed(seed)
        low, high = (0, 16) if self.bits == 4 else (-127, 128)
        payload = torch.randint(low, high, (out, inputs), generator=generator)
        block = min(self.block[0], out), min(self.block[1], inputs)
        blocks = -(-out // block[0]), -(-inputs // block[1])
        scales = (torch.rand(blocks, generator=generator) + 0.1) * 0.01
        zeros = torch.randint(0, 17, blocks, generator=generator).float() if self.zeros else None
        return QuantisedWeight(
            payload.float().to(self.dtype), scales.half().float(), zeros, block, self.bits
        )


ALL = 1 << 20
VARIANTS = [
    Variant("int8 by channel", torch.int8, (1, ALL)),
    Variant("int8 by group", torch.int8, (1, 32)),
    Variant("fp8 by channel", FP8, (1, ALL)),
    Variant("fp8 by tensor", FP8, (ALL, ALL)),
    Variant("fp8 by block", FP8, (32, 128)),
    Variant("int4 by 32", torch.uint8, (1, 32), bits=4, zeros=True),
    Variant("int4 by 64, symmetric", torch.uint8, (1, 64), bits=4),
    Variant("int4 by 128", torch.uint8, (1, 128), bits=4, zeros=True),
    Variant("int4 by channel", torch.uint8, (1, ALL), bits=4, zeros=True),
]


def rows_of(count: int, dtype: torch.dtype, device: torch.device, inputs: int = IN) -> Tensor:
    """Activations."""
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, inputs, generator=generator).to(device, dtype)


def packed(weight: QuantisedWeight, device: torch.device, *, one_tile: bool = False) -> Linear:
    """A layer over it, without a bias."""
    return PackedLinear(pack(weight.to(device)), None, one_tile)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("rows", [1, 3, 17, 65])
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_every_format_is_multiplied(
    variant: Variant, rows: int, dtype: torch.dtype, device: torch.device
) -> None:
    """By the skinny tile, by one large one and by two; only the result is rounded."""
    x, weight = rows_of(rows, dtype, device), variant.weight()
    expected = x.cpu().double() @ weight.dequantise().double().T
    found = packed(weight, device)(x)
    assert found.dtype == dtype
    assert error(found, expected) < TOLERANCES[dtype]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_weights_are_expanded_for_many_rows(variant: Variant, device: torch.device) -> None:
    """To the numbers that they stand for, which torch multiplies."""
    weight = variant.weight()
    found = expanded(pack(weight.to(device)), torch.float32)
    assert error(found, weight.dequantise().double()) < 1e-7
    x = rows_of(EXPANDS_ABOVE + 1, torch.float32, device)
    expected = x.cpu().double() @ weight.dequantise().double().T
    assert error(packed(weight, device)(x), expected) < 2e-6


@pytest.mark.parametrize("inputs", [128, 512, 2176])
def test_inputs_that_are_cut_into_parts(inputs: int, device: torch.device) -> None:
    """The bias is added once, whether there is one part or two."""
    torch.manual_seed(inputs)
    layer = nn.Linear(inputs, OUT)
    x = rows_of(3, torch.float32, device, inputs)
    rounded = quantise_per_channel(layer.weight.detach(), "int8").dequantise().double()
    expected = x.cpu().double() @ rounded.T + layer.bias.detach().double()
    linear = make_linear(MergedLinear([layer]), torch.float32, device, quantization="int8")
    assert error(linear(x), expected) < 2e-6


@pytest.mark.slow
@pytest.mark.usefixtures("sums_in_order")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", ["plain", "int8", "fp8", "int4"])
def test_one_tile_gives_a_row_the_same_bits_in_every_batch(
    kind: str, dtype: torch.dtype, device: torch.device
) -> None:
    """Alone, among few, and among more than torch would be asked for."""
    out, inputs = 20, 2176  # two parts
    weight = rows_of(out, torch.float32, torch.device("cpu"), inputs)
    stored = {
        "plain": pack_plain(weight.to(device, dtype)),
        "int8": pack(quantise_per_channel(weight, "int8").to(device)),
        "fp8": pack(quantise_per_channel(weight, "fp8").to(device)),
        "int4": pack(VARIANTS[-2].weight(out, inputs).to(device)),
    }[kind]
    linear = PackedLinear(stored, None, one_tile=True)
    x = rows_of(EXPANDS_ABOVE + 2, dtype, device, inputs)
    together = linear(x)
    for rows in (slice(0, 1), slice(5, 8), slice(20, 85)):
        assert torch.equal(linear(x[rows].contiguous()), together[rows])


@pytest.mark.parametrize("rows", [1, 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_whole_weights_by_one_tile(dtype: torch.dtype, rows: int, device: torch.device) -> None:
    """They are what torch would multiply."""
    x, weight = rows_of(rows, dtype, device), rows_of(OUT, dtype, device)
    bias = torch.ones(OUT, dtype=dtype, device=device)
    expected = x.cpu().double() @ weight.cpu().double().T + 1.0
    found = make_whole(weight, bias, deterministic=True)(x)
    assert error(found, expected) < TOLERANCES[dtype]


@pytest.mark.parametrize("kind", [None, "int8", "fp8"])
def test_merged_layers_are_the_layers(kind: Kind | None, device: torch.device) -> None:
    """One product for three, of which one has a bias."""
    torch.manual_seed(3)
    layers = [nn.Linear(IN, n, bias=bias) for n, bias in ((30, False), (20, True), (20, False))]
    x = rows_of(2, torch.float32, device)
    merged, *apart = (
        make_linear(MergedLinear(parts), torch.float32, device, quantization=kind)
        for parts in ([_copy(layer) for layer in layers], *([layer] for layer in layers))
    )
    assert error(merged(x), torch.cat([linear(x) for linear in apart], 1).cpu().double()) < 1e-6


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_what_a_checkpoint_holds_in_few_bits_stays_so(
    variant: Variant, device: torch.device
) -> None:
    """Layers that are merged keep their numbers, and take less memory than whole ones."""
    layers, weights = [], [variant.weight(n, seed=n) for n in (64, 32)]
    for weight in weights:
        layer: nn.Module = nn.Linear(IN, weight.shape[0], bias=False, device="meta")
        layer.quantised = weight  # type: ignore[assignment]
        layers.append(layer)
    linear = make_linear(MergedLinear(layers), torch.float32, device)  # type: ignore[arg-type]
    x = rows_of(2, torch.float32, device)
    dense = torch.cat([weight.dequantise() for weight in weights])
    assert error(linear(x), x.cpu().double() @ dense.double().T) < 2e-6
    assert sum(t.numel() * t.element_size() for t in linear.tensors) < 2 * dense.numel()


def test_a_format_that_no_kernel_reads_becomes_whole(device: torch.device) -> None:
    """Eight bits with zeros, and groups that fill no tile."""
    weight = Variant("odd", torch.int8, (1, 8)).weight()
    layer: nn.Module = nn.Linear(IN, OUT, bias=False, device="meta")
    layer.quantised = weight  # type: ignore[assignment]
    linear = make_linear(MergedLinear([layer]), torch.float32, device)  # type: ignore[list-item]
    x = rows_of(2, torch.float32, device)
    assert not can_pack(weight)
    assert not can_pack(replace(VARIANTS[0].weight(), zeros=torch.zeros(OUT, 1)))
    assert error(linear(x), x.cpu().double() @ weight.dequantise().double().T) < 2e-6


def test_fp8_is_decoded_by_hand_where_a_processor_cannot(device: torch.device) -> None:
    """Every number that there is, the smallest included."""
    numbers = torch.arange(256, dtype=torch.uint8)
    numbers[(numbers & 0x7F) == 0x7F] = 0  # not a number
    weight = QuantisedWeight(numbers.view(FP8)[None], torch.ones(1, 1), None, (1, 256), 8)
    by_hand = replace(pack(weight.to(device)), format="fp8_bits")
    assert torch.equal(expanded(by_hand, torch.float32).cpu(), weight.payload.float())
    assert torch.equal(expanded(by_hand, torch.bfloat16).cpu(), weight.payload.bfloat16())


def test_small_scales_of_four_bits_keep_their_digits(device: torch.device) -> None:
    """Down to where float16 would have none left."""
    weight = VARIANTS[5].weight()
    small = replace(weight, scales=weight.scales * 1e-7)
    assert (
        error(expanded(pack(small.to(device)), torch.float32), small.dequantise().double()) < 3e-4
    )


def _copy(layer: nn.Linear) -> nn.Linear:
    copied = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
    copied.load_state_dict(layer.state_dict())
    return copied
