"""The GPU's kernels, compiled for processors that are not here."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

SHARED_LIMITS = {"sm_80": 163 * 1024, "sm_90": 227 * 1024}
"""Bytes per program, by NVIDIA's CUDA C++ Programming Guide, table of compute capabilities."""


KERNELS = {
    "add_norm",
    "add_parts",
    "attend_piece",
    "change_logits",
    "choose_tokens",
    "expand",
    "find_repeats",
    "gate",
    "gather_candidates",
    "look_up_tokens",
    "merge_pieces",
    "multiply",
    "place_heads",
    "set_cutoffs",
    "survey_rows",
}


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="no Triton here")
def test_no_kernel_spills_a_register_or_asks_for_too_much() -> None:
    """For heads of 64, 128 and 256, norms, window, cap and sinks, and all formats of weights."""
    command = [sys.executable, "-m", "tools.gpu_kernels", "--json"]
    command += ["--shapes", "Qwen3-0.6B,Gemma-2-9B,gpt-oss-20B"]
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found = json.loads(done.stdout)
    for target, limit in SHARED_LIMITS.items():
        here = [kernel for kernel in found if kernel["target"] == target]
        names = {kernel["kernel"] for kernel in here}
        assert names == KERNELS
        assert [kernel for kernel in here if kernel["spilled"]] == []
        assert max(kernel["shared"] for kernel in here) <= limit
