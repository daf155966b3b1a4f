"""The model as transformers loads it."""

from __future__ import annotations

import os
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from tools.bench.workload import Workload


def load(workload: Workload) -> Any:
    """Return the workload's model, ready to generate with every core."""
    read: Any = AutoModelForCausalLM.from_pretrained
    torch.set_num_threads(os.cpu_count() or 1)
    return read(workload.model, dtype=getattr(torch, workload.dtype)).eval()
