"""Bringing numbers from the host to a device without waiting for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def bring(
    numbers: Sequence[int] | Sequence[float] | NDArray[Any],
    device: torch.device,
    dtype: torch.dtype = torch.int32,
) -> Tensor:
    """Return numbers as a tensor of their shape on a device; int32 if nothing else is said.

    A GPU reads them from pinned memory, behind what it has been given to do before; torch keeps
    that memory until then.
    """
    host = torch.as_tensor(np.asarray(numbers)).to(dtype)
    if device.type != "cuda":
        return host.to(device)
    return host.pin_memory().to(device, non_blocking=True)
