"""Keys and values in eight bits: what is written, what is read, and what is broken."""

from __future__ import annotations

import re

import pytest
import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.attention.kv_store import KVStore, LayerShape, resolve_kv_dtype
from engine.config import KVCacheDType
from engine.gpu.eight_bit_kernels import FROM_FP8, FROM_INT8, widen
from engine.gpu.rows import place
from tests.support.eight_bits import LARGEST, dequantised, quantised

FORMATS: tuple[KVCacheDType, ...] = ("int8", "fp8")
HEADS, KV_HEADS, DIM, TOKENS = 2, 2, 24, 6
SLOTS = torch.randperm(64, generator=torch.Generator().manual_seed(1))[:TOKENS]


class Written:
    """What is kept of some tokens' heads, exactly and in eight bits."""

    def __init__(self, qkv: Tensor, kv_format: KVCacheDType, device: torch.device) -> None:
        self.exact, self.kept = (
            KVStore([LayerShape(KV_HEADS, DIM, DIM)], 4, dtype=dtype, device=device)
            for dtype in (torch.float32, resolve_kv_dtype(kv_format, torch.float32))
        )
        angles = torch.randn(64, DIM // 2, generator=torch.Generator().manual_seed(2))
        rotary = torch.cat([angles.cos(), angles.sin()], dim=1).to(device)
        norm = torch.rand(DIM, generator=torch.Generator().manual_seed(3)).to(device) + 0.5
        for store in (self.exact, self.kept):
            place(
                qkv.to(device),
                torch.empty(len(qkv), HEADS, DIM, device=device),
                store.keys[0],
                store.values[0],
                torch.arange(len(qkv), dtype=torch.int32, device=device),
                SLOTS[: len(qkv)].int().to(device),
                rotary=rotary,
                query_norm=norm,
                key_norm=norm,
                epsilon=1e-6,
                key_scales=store.key_scales[0],
                value_scales=store.value_scales[0],
            )

    def heads(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """For keys and for values: numbers, codes, and scales, by slot."""
        found = []
        for exact, codes, scales in (
            (self.exact.keys, self.kept.keys, self.kept.key_scales),
            (self.exact.values, self.kept.values, self.kept.value_scales),
        ):
            assert scales[0] is not None
            found.append(tuple(t.flatten(0, 1).cpu() for t in (exact[0], codes[0], scales[0])))
        return found  # type: ignore[return-value]


def some_rows() -> Tensor:
    """Heads of very different sizes, one of them nothing but zeros."""
    generator = torch.Generator().manual_seed(4)
    heads = torch.randn(TOKENS, HEADS + 2 * KV_HEADS, DIM, generator=generator)
    sizes = torch.randint(-30, 30, (TOKENS, HEADS + 2 * KV_HEADS, 1), generator=generator)
    heads *= torch.exp2(sizes.float())
    heads[4, -1] = 0.0
    return heads.flatten(1)


@pytest.mark.slow
@pytest.mark.parametrize("kv_format", FORMATS)
def test_codes_and_scales_are_those_of_float64(
    kv_format: KVCacheDType, device: torch.device
) -> None:
    """To the bit, and nothing is written anywhere else."""
    for numbers, codes, scales in Written(some_rows(), kv_format, device).heads():
        expected_codes, expected_scales = quantised(numbers[SLOTS], kv_format)
        assert torch.equal(codes[SLOTS], expected_codes)
        assert torch.equal(scales[SLOTS], expected_scales)
        others = torch.ones(64, dtype=torch.bool).index_fill_(0, SLOTS, False)
        assert not codes[others].any()
        assert not scales[others].any()


@pytest.mark.slow
@pytest.mark.parametrize("kv_format", FORMATS)
def test_nothing_is_cut_off_and_little_is_lost(
    kv_format: KVCacheDType, device: torch.device
) -> None:
    """The largest code stands for no less than the largest number; errors are half a step."""
    for numbers, codes, scales in Written(some_rows(), kv_format, device).heads():
        largest = numbers[SLOTS].abs().amax(dim=-1)
        assert (scales[SLOTS].float() * LARGEST[kv_format] >= largest).all()
        error = (dequantised(codes, scales) - numbers.double())[SLOTS].abs()
        step = scales[SLOTS].double()[..., None]
        if kv_format == "int8":
            assert (error <= 0.5 * step).all()
        else:
            finest = 2.0**-10 * step
            assert (error <= torch.maximum(numbers[SLOTS].double().abs() / 16, finest)).all()


@pytest.mark.slow
@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
@pytest.mark.parametrize("kv_format", FORMATS)
def test_a_broken_head_has_no_scale_and_harms_no_other(
    kv_format: KVCacheDType, bad: float, device: torch.device
) -> None:
    """Its reader gets what is not a number, whatever its codes; the rest stays as it was."""
    rows = some_rows()
    whole = Written(rows, kv_format, device).heads()
    value = (HEADS + KV_HEADS) * DIM
    rows[3, value + 7] = bad
    broken = Written(rows, kv_format, device).heads()
    slot = int(SLOTS[3])
    assert broken[1][2][slot].isnan().tolist() == [True, False]
    assert not broken[1][1][slot, 0].any()
    broken[1][1][slot, 0], broken[1][2][slot, 0] = whole[1][1][slot, 0], whole[1][2][slot, 0]
    for before, after in zip(whole, broken, strict=True):
        assert torch.equal(before[1], after[1])
        assert torch.equal(before[2], after[2])


@triton.jit
def _widen_all(codes, out, FORMAT: tl.constexpr, STAYS: tl.constexpr):
    at = tl.arange(0, 256)
    numbers = widen(tl.load(codes + at), out.dtype.element_ty, FORMAT, STAYS)
    tl.store(out + at, numbers)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kv_format", FORMATS)
def test_every_code_is_read_exactly(
    kv_format: KVCacheDType, dtype: torch.dtype, device: torch.device
) -> None:
    """In every type that queries come in."""
    if dtype == torch.bfloat16 and device.type == "cpu":
        pytest.skip("assembly is not interpreted; it is carried out by hand below")
    codes = torch.arange(256).to(torch.uint8)
    codes = codes.view(torch.int8) if kv_format == "int8" else codes
    expected = dequantised(codes[:, None], torch.ones(256))[:, 0]
    for stays in (False, True):
        out = torch.full((256,), float("nan"), dtype=dtype, device=device)
        _widen_all[(1,)](codes.to(device), out, FORMAT=kv_format, STAYS=stays)
        used = expected.isfinite()  # e4m3 has two codes for what is not a number; none is written
        assert torch.equal(out.cpu().double()[used], expected[used])


@pytest.mark.parametrize("kv_format", FORMATS)
def test_the_assembly_reads_every_code_exactly(kv_format: KVCacheDType) -> None:
    """Carried out by hand, instruction by instruction, in each of its four places."""
    program = FROM_INT8.value if kv_format == "int8" else FROM_FP8.value
    codes = torch.arange(256).to(torch.uint8)
    viewed = codes.view(torch.int8) if kv_format == "int8" else codes
    expected = dequantised(viewed[:, None], torch.ones(256))[:, 0]
    for code in range(256):
        others = [(code * k + 89) % 256 for k in (3, 5, 7)]
        for lane in range(4):
            word = [*others[:lane], code, *others[lane:]]
            found = _carry_out(program, sum(byte << 8 * i for i, byte in enumerate(word)))[lane]
            assert found == expected[code] or expected[code].isnan()


def _carry_out(program: str, word: int) -> list[float]:
    """Run the few PTX instructions that are in use; return the four bfloat16 of ``$0`` and ``$1``.

    After NVIDIA's PTX ISA: `prmt` picks bytes of two words by nibbles, the highest bit of which
    asks for the byte's sign instead; `fma.bf16x2` multiplies and adds both halves.
    """
    registers = {"$2": word}

    def value(name: str) -> int:
        return registers[name] if name in registers else int(name, 0)

    for operation, operands in re.findall(r"^(\w[\w.]*) +([^;]+);", program, re.MULTILINE):
        target, *names = [name.strip() for name in operands.split(",")]
        match operation:
            case "mov.b32":
                result = value(names[0])
            case "and.b32":
                result = value(names[0]) & value(names[1])
            case "shl.b32":
                result = value(names[0]) << value(names[1])
            case "prmt.b32":
                pool = value(names[1]) << 32 | value(names[0])
                result = 0
                for i in range(4):
                    nibble = value(names[2]) >> 4 * i & 15
                    byte = pool >> 8 * (nibble & 7) & 255
                    byte = (255 if byte & 128 else 0) if nibble & 8 else byte
                    result |= byte << 8 * i
            case "fma.rn.bf16x2":
                a, b, c = (_halves(value(name)) for name in names)
                halves = torch.tensor([x * y + z for x, y, z in zip(a, b, c, strict=True)])
                low, high = (int(n) & 0xFFFF for n in halves.bfloat16().view(torch.int16))
                result = high << 16 | low
            case _:
                raise AssertionError(operation)
        registers[target] = result & 0xFFFFFFFF
    return [*_halves(registers["$0"]), *_halves(registers["$1"])]


def _halves(word: int) -> list[float]:
    """Return both bfloat16 of a word, the lower first."""
    bits = torch.tensor([word & 0xFFFF, word >> 16]).to(torch.int32) << 16
    found: list[float] = bits.view(torch.float32).double().tolist()
    return found
