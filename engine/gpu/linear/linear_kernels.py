"""Products of a few rows with weights in any format, which are decoded on their way.

One program of `multiply` takes a tile of rows and a tile of outputs and walks along the inputs in a
fixed order, adding up in float32. Eight and four bits become the activations' type without loss;
what they are to be multiplied with comes after: after each run of inputs that shares a scale, or
once at the end. So the only rounding is that of a plain product.

Where there are few outputs the inputs are cut into parts, which `add_parts` adds up in their order:
a row's result never depends on the rows beside it.

Four bits lie eight to a word, and words in blocks of 128 inputs: nibble ``i`` of word ``j`` belongs
to input ``16 * i + j`` of its block, so one shift decodes 16 neighbours for all outputs of a tile.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _eight_bits(bytes_, FORMAT: tl.constexpr, dtype: tl.constexpr):
    """Decode bytes, without loss."""
    if FORMAT == "fp8":
        found = bytes_.to(tl.float8e4nv, bitcast=True).to(dtype)
    elif FORMAT == "fp8_bits":  # for processors without the type: put where float32 has its parts
        bits = bytes_.to(tl.uint32)
        bits = ((bits & 0x80) << 24) | ((bits & 0x7F) << 20)
        found = (bits.to(tl.float32, bitcast=True) * 1.329227995784916e36).to(dtype)  # 2 ** 120
    else:
        found = bytes_.to(dtype)
    return found


@triton.jit
def _four_bits(words, i: tl.constexpr, minus, dtype: tl.constexpr):
    """Decode nibble n of each word: 0x4300 | n is 128 + n in bfloat16; ``minus`` has 128 too."""
    bits = ((words >> (4 * i)) & 15) | 0x4300
    return bits.to(tl.int16).to(tl.bfloat16, bitcast=True).to(dtype) - minus.to(dtype)


@triton.jit
def _scale_and_minus(params):
    """Take apart what a group of four-bit numbers has: a float16 above a bfloat16."""
    scale = (params >> 16).to(tl.int16).to(tl.float16, bitcast=True).to(tl.float32)
    return scale, params.to(tl.int16).to(tl.bfloat16, bitcast=True)


@triton.jit
def _load_rows(
    x, row, rows, inputs, first, dtype: tl.constexpr, WIDTH: tl.constexpr, EVEN: tl.constexpr
):
    """Read ``[ROWS, WIDTH]`` of the activations."""
    at = first + tl.arange(0, WIDTH)
    mask = (row < rows)[:, None]
    if not EVEN:
        mask = mask & (at < inputs)[None, :]
    return tl.load(x + row[:, None] * inputs + at[None, :], mask=mask, other=0.0).to(dtype)


@triton.jit(do_not_specialize=["rows"])  # or one row would have a kernel of its own
def multiply(
    x,  # [rows, inputs]
    payload,  # [outputs, inputs]; of four bits [outputs, inputs / 8] int32, padded to whole blocks
    groups,  # [groups, output blocks] float32; of four bits [groups, outputs] int32
    factors,  # [outputs] float32
    bias,  # [outputs]
    out,  # [rows, outputs], or [parts, rows, outputs] float32
    rows,
    outputs,
    inputs,
    ROWS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    STEP: tl.constexpr,
    FORMAT: tl.constexpr,  # "plain", "int8", "fp8", "fp8_bits" or "int4"
    GROUP: tl.constexpr,  # inputs that share a scale; 0 for all
    GROUP_OUTPUTS: tl.constexpr,  # outputs that share a scale
    RUN: tl.constexpr,  # inputs of a step that share a scale
    HAS_FACTORS: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    EVEN: tl.constexpr,  # steps divide the inputs
    UPCAST: tl.constexpr,  # the interpreter cannot multiply bfloat16
):
    """Out = x @ weight.T * factors + bias, for one tile and one part of the inputs."""
    dtype: tl.constexpr = tl.float32 if UPCAST else x.dtype.element_ty
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    output = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
    there = tl.minimum(output, outputs - 1)  # the last tile reads some weights twice
    steps = tl.cdiv(inputs, STEP)
    part = tl.cdiv(steps, tl.num_programs(2)) * STEP
    first = tl.program_id(2) * part
    last = tl.minimum(first + part, inputs)
    total = tl.zeros([ROWS, OUTPUTS], tl.float32)
    if FORMAT == "int4":
        word_row = payload + there.to(tl.int64)[None, :] * (steps * (STEP // 8))
        for k in range(first, last, STEP):
            words = tl.load(word_row + (k // 8 + tl.arange(0, STEP // 8))[:, None])
            for run in tl.static_range(STEP // RUN):
                group = (k + run * RUN) // GROUP
                scale, minus = _scale_and_minus(tl.load(groups + group * outputs + there))
                sum_of_run = tl.zeros([ROWS, OUTPUTS], tl.float32)
                for i in tl.static_range(run * RUN // 16, (run + 1) * RUN // 16):
                    w = _four_bits(words, i, minus[None, :], dtype)
                    a = _load_rows(x, row, rows, inputs, k + 16 * i, dtype, 16, EVEN)
                    sum_of_run = tl.dot(a, w, sum_of_run, input_precision="ieee")
                total += sum_of_run * scale[None, :]
    else:
        weight_row = payload + there.to(tl.int64)[None, :] * inputs
        blocks = tl.cdiv(outputs, GROUP_OUTPUTS)
        for k in range(first, last, STEP):
            at = k + tl.arange(0, STEP)
            if EVEN:
                w = tl.load(weight_row + at[:, None])
            else:
                w = tl.load(weight_row + at[:, None], mask=(at < inputs)[:, None], other=0)
            w = _eight_bits(w, FORMAT, dtype)
            a = _load_rows(x, row, rows, inputs, k, dtype, STEP, EVEN)
            if GROUP > 0:
                scale = tl.load(groups + k // GROUP * blocks + there // GROUP_OUTPUTS)
                total += tl.dot(a, w, input_precision="ieee") * scale[None, :]
            else:
                total = tl.dot(a, w, total, input_precision="ieee")
    if HAS_FACTORS:
        total *= tl.load(factors + there)[None, :]
    if HAS_BIAS:
        total += tl.load(bias + there).to(tl.float32)[None, :]
    target = out + (tl.program_id(2).to(tl.int64) * rows + row)[:, None] * outputs + output[None, :]
    is_there = (row < rows)[:, None] & (output < outputs)[None, :]
    tl.store(target, total.to(out.dtype.element_ty), mask=is_there)


@triton.jit(do_not_specialize=["rows"])  # or one row would have a kernel of its own
def add_parts(
    partial,  # [PARTS, rows, outputs] float32
    bias,  # [outputs]
    out,  # [rows, outputs]
    rows,
    outputs,
    PARTS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    HAS_BIAS: tl.constexpr,
):
    """Out = the sum of the parts, in their order, + bias."""
    row = tl.program_id(0).to(tl.int64)
    output = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
    within = output < outputs
    total = tl.zeros([OUTPUTS], tl.float32)
    for part in tl.static_range(PARTS):
        total += tl.load(partial + (part * rows + row) * outputs + output, mask=within, other=0.0)
    if HAS_BIAS:
        total += tl.load(bias + output, mask=within, other=0.0).to(tl.float32)
    tl.store(out + row * outputs + output, total.to(out.dtype.element_ty), mask=within)


@triton.jit
def expand(
    payload,  # as `multiply` reads them
    groups,
    factors,
    out,  # [outputs, inputs]
    outputs,
    inputs,
    OUTPUTS: tl.constexpr,
    STEP: tl.constexpr,
    FORMAT: tl.constexpr,
    GROUP: tl.constexpr,
    GROUP_OUTPUTS: tl.constexpr,
    HAS_FACTORS: tl.constexpr,
):
    """Out = the weight itself, one tile per program."""
    output = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)
    there = tl.minimum(output, outputs - 1)
    row = there.to(tl.int64)[:, None]
    k = tl.program_id(1) * STEP
    factor = tl.full([OUTPUTS], 1.0, tl.float32)
    if HAS_FACTORS:
        factor = tl.load(factors + there)
    if FORMAT == "int4":
        words_per_row = tl.cdiv(inputs, STEP) * (STEP // 8)
        words = tl.load(payload + row * words_per_row + (k // 8 + tl.arange(0, STEP // 8))[None, :])
        for i in tl.static_range(STEP // 16):
            group = (k + 16 * i) // GROUP
            scale, minus = _scale_and_minus(tl.load(groups + group * outputs + there))
            w = _four_bits(words, i, minus[:, None], tl.float32) * (scale * factor)[:, None]
            at = k + 16 * i + tl.arange(0, 16)
            mask = (output < outputs)[:, None] & (at < inputs)[None, :]
            tl.store(out + row * inputs + at[None, :], w.to(out.dtype.element_ty), mask=mask)
    else:
        at = k + tl.arange(0, STEP)
        mask = (output < outputs)[:, None] & (at < inputs)[None, :]
        w = _eight_bits(
            tl.load(payload + row * inputs + at[None, :], mask=mask, other=0), FORMAT, tl.float32
        )
        if GROUP > 0:
            blocks = tl.cdiv(outputs, GROUP_OUTPUTS)
            factor *= tl.load(groups + k // GROUP * blocks + there // GROUP_OUTPUTS)
        w *= factor[:, None]
        tl.store(out + row * inputs + at[None, :], w.to(out.dtype.element_ty), mask=mask)
