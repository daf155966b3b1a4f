"""Part ``limits``: what this card can do at most, and what a boundary between two kernels costs.

A floor is computed from what was measured here, on this card in this run, never from a datasheet.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import torch
import triton
from torch import Tensor

from tools.bench.machine import Limits
from tools.gpu.limit_kernels import add_one, read_all
from tools.gpu.options import Options
from tools.gpu.results import NotHere, Part, Row
from tools.gpu.timing import Launch, captured, median_s, medians_s

_TILES = (1024, 4096)
_PROGRAMS_PER_PROCESSOR = (4, 8, 16)
_KERNELS = 300
"""As many as a decode step of a small model has."""
_ASKED = "driver_version,clocks.sm,clocks.mem,clocks.max.sm,power.limit,temperature.gpu"


def run(part: Part, options: Options, device: torch.device) -> None:
    """Measure what is not there yet."""
    size = 2**16 if options.tiny else 2**31
    side = 64 if options.tiny else 8192
    measurements: dict[str, Callable[[], Row]] = {
        "machine": lambda: describe(device),
        "read": lambda: _read(size, device),
        "copy": lambda: _copy(size, device),
        "products bf16": lambda: _products(side, device, _bfloat16),
        "products fp8": lambda: _products(side, device, _fp8),
        "products int8": lambda: _products(side, device, _int8),
        "boundary": lambda: _boundary(device, pdl=False),
        "boundary, dependent launch": lambda: _boundary(device, pdl=True),
    }
    for name, measure in measurements.items():
        if part.wants(name, seconds=5):
            with part.measuring(name):
                part.add(name, **measure())


def limits_of(rows: dict[str, Row]) -> dict[str, Limits]:
    """Return bandwidth with the rate of products, by what is multiplied.

    Args:
        rows: Of this part.

    Raises:
        NotHere: They are not there.
    """
    if "read" not in rows or "products bf16" not in rows:
        raise NotHere("there are no limits to compare with; run the part limits first")
    bandwidth = rows["read"]["bytes_per_second"]
    return {
        kind: Limits(bandwidth, rows[f"products {kind}"]["operations_per_second"])
        for kind in ("bf16", "fp8", "int8")
        if f"products {kind}" in rows
    }


def describe(device: torch.device) -> Row:
    """Return what a reader needs to judge the figures; no host name."""
    about: Row = {"torch": str(torch.__version__), "triton": str(triton.__version__)}
    if device.type != "cuda":
        return about
    card = torch.cuda.get_device_properties(device)
    about |= {
        "card": card.name,
        "cuda": torch.version.cuda,
        "capability": f"{card.major}.{card.minor}",
        "processors": card.multi_processor_count,
        "memory_bytes": card.total_memory,
        "l2_bytes": card.L2_cache_size,
    }
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", f"--query-gpu={_ASKED}", "--format=csv,noheader"]
        told = subprocess.run(command, check=False, capture_output=True, text=True).stdout
        first = told.splitlines()[0].split(", ") if told else []
        about |= dict(zip(_ASKED.split(","), first, strict=False))
    return about


def _read(size: int, device: torch.device) -> Row:
    """The best of several ways to read memory once and write nothing."""
    numbers = torch.randint(-1000, 1000, (size // 4,), dtype=torch.int32, device=device)
    calls: dict[str, Launch] = {"torch's sum": lambda: numbers.sum(dtype=torch.int32)}
    processors = _processors(device)
    for tile in _TILES:
        for each in _PROGRAMS_PER_PROCESSOR:
            calls[f"tile {tile}, {each} programs per processor"] = _reader(
                numbers, tile, each * processors
            )
    seconds = medians_s(calls, device)
    best = min(seconds, key=lambda name: seconds[name])
    rates = {name: size / s for name, s in seconds.items()}
    return {"bytes_per_second": rates[best], "best": best, "all": rates}


def _reader(numbers: Tensor, tile: int, programs: int) -> Launch:
    sums = torch.empty(programs, dtype=torch.int32, device=numbers.device)
    return lambda: read_all[(programs,)](
        numbers, sums, len(numbers), TILE=tile, PROGRAMS=programs, num_warps=8
    )


def _copy(size: int, device: torch.device) -> Row:
    source = torch.randint(0, 255, (size,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = median_s(lambda: target.copy_(source), device)
    return {"bytes_per_second": 2 * size / seconds, "counts": "bytes read and bytes written"}


def _products(side: int, device: torch.device, make: Callable[[Tensor, Tensor], Launch]) -> Row:
    left, right = (torch.randn(side, side, device=device) for _ in range(2))
    try:
        seconds = median_s(make(left, right), device)
    except (RuntimeError, NotImplementedError) as error:
        raise NotHere(f"torch cannot do that here: {str(error).splitlines()[0][:120]}") from error
    return {"operations_per_second": 2 * side**3 / seconds, "side": side}


def _bfloat16(left: Tensor, right: Tensor) -> Launch:
    a, b = left.bfloat16(), right.bfloat16()
    return lambda: a @ b


def _fp8(left: Tensor, right: Tensor) -> Launch:
    a, b = left.to(torch.float8_e4m3fn), right.to(torch.float8_e4m3fn).t()
    one = torch.ones((), device=left.device)
    return lambda: torch._scaled_mm(a, b, one, one, out_dtype=torch.bfloat16)


def _int8(left: Tensor, right: Tensor) -> Launch:
    a, b = ((x * 40).clamp(-127, 127).to(torch.int8) for x in (left, right))
    return lambda: torch._int_mm(a, b.t())


def _boundary(device: torch.device, *, pdl: bool) -> Row:
    """A chain of the smallest kernels, replayed: nearly all that it takes is the boundaries."""
    if device.type != "cuda":
        raise NotHere("a CPU replays no graphs")
    if pdl and torch.cuda.get_device_capability(device) < (9, 0):
        raise NotHere("dependent launch needs compute capability 9.0")
    number = torch.zeros(1, dtype=torch.int32, device=device)

    def chain() -> None:
        for _ in range(_KERNELS):
            add_one[(1,)](number, PDL=pdl, num_warps=1, launch_pdl=pdl)

    seconds = median_s(captured(chain, device), device)
    return {"microseconds": 1e6 * seconds / _KERNELS, "kernels": _KERNELS}


def _processors(device: torch.device) -> int:
    if device.type != "cuda":
        return 1
    return int(torch.cuda.get_device_properties(device).multi_processor_count)
