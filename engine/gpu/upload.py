"""Brings numbers from the host to the device without waiting for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def bring(
    numbers: Sequence[float] | NDArray[np.generic], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Copy numbers to the device; torch keeps the pinned memory until it is read.

    Args:
        numbers: Copied before this returns, so their owner may change them.
        dtype: Of the tensor.
        device: Where to; the copy is ordered with its current stream.
    """
    host = torch.tensor(np.asarray(numbers), dtype=dtype, pin_memory=device.type == "cuda")
    return host.to(device, non_blocking=True)
