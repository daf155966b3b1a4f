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


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="no Triton here")
def test_no_kernel_spills_a_register_or_asks_for_too_much() -> None:
    """For heads of 64, 128 and 256, with norms, window, cap and sinks; all kernels are there."""
    command = [sys.executable, "-m", "tools.gpu_kernels", "--json"]
    command += ["--shapes", "Qwen3-0.6B,Gemma-2-9B,gpt-oss-20B"]
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found = json.loads(done.stdout)
    for target, limit in SHARED_LIMITS.items():
        here = [kernel for kernel in found if kernel["target"] == target]
        names = {kernel["kernel"] for kernel in here}
        attention = {"place_heads", "attend_piece", "merge_pieces", "add_norm", "gate"}
        sampling = {"find_repeats", "change_logits", "survey_rows", "choose_tokens"}
        assert names == attention | sampling | {"set_cutoffs", "gather_candidates"}
        assert [kernel for kernel in here if kernel["spilled"]] == []
        assert max(kernel["shared"] for kernel in here) <= limit
