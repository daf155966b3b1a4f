"""Part ``peers``: others on the same card, the same weights and the same prompts, in one run.

Each engine has a process of its own, and as many seconds as are left; one that does not start says
why. Prompts begin differently, since not everybody shares beginnings. CB is transformers'
continuous batching. gpt-fast decodes one stream of Llama's structure, so Kaiwa is measured at that
beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from tools.bench.alone import run_alone
from tools.bench.workload import Workload
from tools.gpu.flash3 import FLASH3
from tools.gpu.options import Options
from tools.gpu.places import Place, flash3_path, place_of
from tools.gpu.results import NotHere, Part
from tools.gpu.shapes import TINY, Shape, checkpoint, shapes, smallest

_LEAST_S = 25.0
_MOST_S = 75.0
"""Of one engine, start and all."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Somebody who is measured.

    Attributes:
        room: Of `tools.bench.engines`.
        settings: What the room takes.
        place: Where it is found.
        is_single: Whether it decodes one stream of Llama's structure.
    """

    room: str
    settings: dict[str, Any] = field(default_factory=dict)
    place: Callable[[Options], Place] = lambda options: Place()
    is_single: bool = False


def _flash3(options: Options) -> Place:
    path = flash3_path(options)
    if not path:
        raise NotHere(f"there is no FlashAttention-3; --peer {FLASH3}=LIBRARY brings it")
    return Place(path=path)


def _named(name: str) -> Callable[[Options], Place]:
    return lambda options: place_of(name, options)


_OURS = {"max_num_batched_tokens": 8192}
ENGINES = {
    "Kaiwa": Engine("kaiwa", _OURS),
    "transformers CB, SDPA": Engine("transformers_cb", {"attention": "sdpa"}),
    "transformers CB, FlashAttention-3": Engine(
        "transformers_cb", {"attention": "flash_attention_3"}, _flash3
    ),
    "transformers generate()": Engine("generate", {"attention": "sdpa"}),
    "nano-vllm": Engine("nano_vllm", place=_named("nano-vllm")),
    "vLLM": Engine("vllm", place=_named("vllm")),
    "Kaiwa, one stream": Engine("kaiwa", _OURS, is_single=True),
    "gpt-fast": Engine("gpt_fast", place=_named("gpt-fast"), is_single=True),
}


def run(part: Part, options: Options, device: torch.device) -> None:
    """Measure everybody who is there."""
    for name, engine in ENGINES.items():
        if not part.wants(name, seconds=0 if options.tiny else _LEAST_S):
            continue
        with part.measuring(name):
            place = engine.place(options)
            workload = workload_of(engine, options, device)
            command = ["-m", "tools.bench.engines", engine.room, "--workload", workload.to_json()]
            found = run_alone(
                [*command, "--options", json.dumps(engine.settings)],
                python=place.python,
                path=place.path,
                seconds=min(_MOST_S, part.seconds_left),
            )
            by_streams = zip(workload.streams, found, strict=True)
            part.add(name, **{f"{n} streams": figures for n, figures in by_streams})


def workload_of(engine: Engine, options: Options, device: torch.device) -> Workload:
    """Return what an engine is asked, on a checkpoint that is written if need be."""
    shape = _llama(options) if engine.is_single else smallest(options)
    streams = (1,) if engine.is_single else (1, 2) if options.tiny else (8, 64)
    return Workload(
        model=str(checkpoint(shape, options)),
        streams=streams,
        prompt_tokens=16 if options.tiny else 512,
        shared_tokens=0,
        output_tokens=4 if options.tiny else 128,
        requests_per_stream=1,
        dtype="bfloat16" if device.type == "cuda" else "float32",
    )


def _llama(options: Options) -> Shape:
    return next((s for s in shapes(options) if s.model_type == "llama"), TINY)
