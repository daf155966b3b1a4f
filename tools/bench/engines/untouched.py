"""The model as transformers loads it."""

from __future__ import annotations

import os
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from tools.bench.workload import Workload


def load(workload: Workload, attention: str | None = None) -> Any:
    """Return the workload's model, ready to generate on a GPU, or with every core.

    Args:
        workload: Names the checkpoint.
        attention: transformers' name for what attends; ``None`` leaves the choice to it.
    """
    read: Any = AutoModelForCausalLM.from_pretrained
    torch.set_num_threads(os.cpu_count() or 1)
    chosen = {} if attention is None else {"attn_implementation": attention}
    model = read(workload.model, dtype=getattr(torch, workload.dtype), **chosen)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
