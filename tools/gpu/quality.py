"""Part ``quality``: what fewer bits cost in what is said, by `tools.gpu_quality`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from tools.gpu.options import Options
from tools.gpu.results import Part, Row

_TOOL = "tools.gpu_quality"
_ROOT = Path(__file__).parents[2]
VARIANTS = ("kv=fp8", "kv=int8", "weights=fp8", "weights=int8", "kv=fp8+weights=fp8")


def run(part: Part, options: Options, device: torch.device) -> None:
    """Compare each way of holding numbers with the model's own."""
    del device
    variants = VARIANTS[:2] if options.tiny else VARIANTS
    if all(map(part.has, variants)) or not part.wants("all of it", seconds=10):
        return
    with part.measuring("all of it"):
        for name, row in _measure(variants, options, part.seconds_left).items():
            part.add(name, **row)


def _measure(variants: Sequence[str], options: Options, seconds: float) -> dict[str, Row]:
    sizes = ["--count", "40"]
    if options.tiny:
        sizes = ["--count", "1", "--window", "12", "--text", "LICENSE"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "quality.json"
        command = [sys.executable, "-m", _TOOL, "--variants", ",".join(variants)]
        subprocess.run([*command, *sizes, "--json", file], cwd=_ROOT, check=True, timeout=seconds)
        found: dict[str, Row] = json.loads(file.read_text(encoding="utf-8"))
    return found
