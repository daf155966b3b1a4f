"""Keys and values in eight bits: how a head becomes codes and a scale, and how codes are read.

A number is its code times its head's scale. Codes are whole numbers from -127 to 127 (``int8``), or
e4m3 as the Open Compute Project defines it, up to 448 (``fp8``), both as bytes. The scale is what
brings the head's largest number to the largest code, rounded up to bfloat16, so that nothing is cut
off; a head that is not all finite numbers has codes of zero and a scale that is not a number.

Bits are moved by integer arithmetic: sm_80 has no instruction for e4m3, and what is written and
read is then the same to the bit on every processor and in the interpreter.
"""

from __future__ import annotations

import triton
import triton.language as tl

FROM_INT8 = tl.constexpr("""
{
.reg .b32 a, b, c, d, minus;
mov.b32 minus, 0xBF80BF80;
prmt.b32 a, $2, 0x43434343, 0x4140;
prmt.b32 b, $2, 0x43434343, 0x4342;
and.b32 c, a, 0xFF80FF80;
and.b32 d, b, 0xFF80FF80;
and.b32 a, a, 0xFF7FFF7F;
and.b32 b, b, 0xFF7FFF7F;
fma.rn.bf16x2 $0, c, minus, a;
fma.rn.bf16x2 $1, d, minus, b;
}
""")
"""Four codes to four bfloat16: 128 plus the low seven bits, less 128 or, for negatives, 256."""

FROM_FP8 = tl.constexpr("""
{
.reg .b32 a, b, scale, zero;
mov.b32 scale, 0x7B807B80;
mov.b32 zero, 0x80008000;
prmt.b32 a, $2, 0, 0x9180;
prmt.b32 b, $2, 0, 0xb3a2;
shl.b32 a, a, 4;
shl.b32 b, b, 4;
and.b32 a, a, 0x87F087F0;
and.b32 b, b, 0x87F087F0;
fma.rn.bf16x2 $0, a, scale, zero;
fma.rn.bf16x2 $1, b, scale, zero;
}
""")
"""Four codes to four bfloat16: sign, exponent and fraction to their places, times 2 ** 120."""


@triton.jit
def widen(codes, dtype: tl.constexpr, FORMAT: tl.constexpr, STAYS: tl.constexpr):
    """Return codes as numbers of a wider type, exactly.

    Args:
        codes: Any shape, int8 or uint8.
        dtype: Of the result.
        FORMAT: ``int8`` or ``fp8``.
        STAYS: Convert where the codes were loaded, before the matrix unit's layout. Operands that
            it takes in columns would be picked up byte by byte otherwise.
    """
    if dtype == tl.bfloat16:  # the compiler needs twice as many instructions for it
        assembly: tl.constexpr = FROM_INT8 if FORMAT == "int8" else FROM_FP8
        numbers = tl.inline_asm_elementwise(
            assembly, "=r,=r,r", [codes], dtype=tl.bfloat16, is_pure=not STAYS, pack=4
        )
    elif FORMAT == "int8":
        numbers = codes.to(dtype)
    else:
        bits = (codes.to(tl.int8, bitcast=True).to(tl.int16) << 7) & -0x4080
        numbers = (bits.to(tl.float16, bitcast=True).to(tl.float32) * 256.0).to(dtype)
    return numbers


@triton.jit
def quantise(x, FORMAT: tl.constexpr):
    """Return a head's codes, as int32 whose low byte counts, and its scale, exact in bfloat16.

    Args:
        x: ``[width]`` float32, zero where it is padding.
        FORMAT: ``int8`` or ``fp8``.
    """
    largest: tl.constexpr = 127.0 if FORMAT == "int8" else 448.0
    magnitude = tl.abs(x)
    scale = tl.div_rn(tl.max(magnitude, axis=0), largest)
    scale = tl.maximum(scale, 1.1754943508222875e-38)  # a head of zeros
    bits = (scale.to(tl.int32, bitcast=True) + 0xFFFF) & -0x10000
    is_broken = tl.sum(tl.where(magnitude < float("inf"), 0, 1), axis=0) > 0
    scale = tl.where(is_broken, float("nan"), bits.to(tl.float32, bitcast=True))
    y = tl.div_rn(x, scale)
    y = tl.where(y == y, tl.minimum(tl.maximum(y, -largest), largest), 0.0)
    if FORMAT == "int8":
        rounded = y + 12582912.0  # 1.5 * 2 ** 23: the sum's last bit stands for one
        codes = rounded.to(tl.int32, bitcast=True) - 0x4B400000
    else:
        a = tl.abs(y)
        bits = a.to(tl.int32, bitcast=True)
        small = (a + 16384.0).to(tl.int32, bitcast=True) - 0x46800000  # counts in 2 ** -9
        normal = (bits - (120 << 23) + 0x7FFFF + ((bits >> 20) & 1)) >> 20
        sign = (y.to(tl.int32, bitcast=True) >> 24) & 0x80
        codes = tl.where(a < 0.015625, small, normal) | sign
    return codes, scale
