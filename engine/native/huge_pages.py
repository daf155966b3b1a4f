"""Asks the kernel for large pages under a tensor, so that long reads miss fewer translations."""

from __future__ import annotations

import ctypes
import mmap
import sys

from torch import Tensor

_HUGE = 2 * 2**20


def prefer_huge_pages(tensor: Tensor) -> Tensor:
    """Advise it for the whole large pages inside a tensor's memory, and return the tensor.

    Advice only: where the system has none, nothing changes. Call it before memory is first written.
    """
    advice = getattr(mmap, "MADV_HUGEPAGE", None)
    if sys.platform == "linux" and advice is not None:
        start = -(-tensor.data_ptr() // _HUGE) * _HUGE
        end = (tensor.data_ptr() + tensor.numel() * tensor.element_size()) // _HUGE * _HUGE
        if end > start:
            libc = ctypes.CDLL(None)
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), advice)
    return tensor
