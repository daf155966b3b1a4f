"""Programmatic dependent launch: a kernel is set up while the one before it still runs.

A step is hundreds of short kernels, and between two of them the device idles for a microsecond or
two. On Hopper and newer the next one may be brought to the processors early; it then waits, as its
first instruction, until everything before it is done and can be seen. Each kernel that is launched
so must wait in each of its programs, whatever else it does: the kernel after it relies on that.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.runtime import driver

_FIRST_WITH_OVERLAP = 90
"""The compute capability, times ten."""


def overlap_options() -> dict[str, bool]:
    """Return what a launch is given beside its arguments, so that launches overlap if they can."""
    if triton.knobs.runtime.interpret:
        return {"OVERLAPS": False}
    if driver.active.get_current_target().arch < _FIRST_WITH_OVERLAP:
        return {"OVERLAPS": False}
    return {"OVERLAPS": True, "launch_pdl": True}


@triton.jit
def wait_for_those_before(OVERLAPS: tl.constexpr):
    """Wait, where launches overlap; the first thing that a kernel does."""
    if OVERLAPS:
        tl.extra.cuda.gdc_wait()
        tl.extra.cuda.gdc_launch_dependents()
