"""Triton kernels that do nothing but reach a limit."""

# mypy: allow-untyped-decorators, allow-untyped-defs, allow-incomplete-defs

from __future__ import annotations

import triton
import triton.language as tl

from engine.gpu.overlap import wait_for_those_before


@triton.jit
def read_all(numbers, sums, length, TILE: tl.constexpr, PROGRAMS: tl.constexpr):
    """Read ``length`` 32-bit numbers once, below 2**30 of them; each program keeps one sum.

    Programs go over the memory side by side, as attention and skinny products do.
    """
    program = tl.program_id(0)
    offsets = tl.arange(0, TILE)
    total = tl.zeros([TILE], dtype=tl.int32)
    for start in range(0, length, TILE * PROGRAMS):
        at = start + program * TILE + offsets
        total += tl.load(numbers + at, mask=at < length, other=0)
    tl.store(sums + program, tl.sum(total, axis=0))


@triton.jit
def add_one(number, PDL: tl.constexpr):
    """The smallest kernel that a graph cannot leave out: each waits for the one before it."""
    wait_for_those_before(PDL)
    tl.store(number, tl.load(number) + 1)
