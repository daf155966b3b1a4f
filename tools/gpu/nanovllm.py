"""Part ``nanovllm``: the benchmark that nano-vllm made usual, for Kaiwa and whoever else is there.

256 requests, prompts and replies of 100 to 1,024 tokens, all asked for at once, on the shape of
Qwen3-0.6B. The requests are those of nano-vllm's own ``bench.py``, drawn in the same order from
the same generator. Whoever has such an ``LLM.generate`` is measured by the same lines, each in a
process of its own: Kaiwa, nano-vllm, vLLM.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tools.bench.alone import run_alone
from tools.gpu.options import Options
from tools.gpu.places import Place, place_of
from tools.gpu.results import Part
from tools.gpu.shapes import checkpoint, smallest

HIGHEST_ID, SHORTEST = 10_000, 100
TEMPERATURE = 0.6
_LEAST_S = 20.0
_ROUNDS = 2
_MOST_TOKENS = 16_384
"""In one step; what nano-vllm takes by default."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What is asked.

    Attributes:
        count: Requests.
        longest: Prompt, and longest reply, in tokens.
        shortest: Of both.
    """

    count: int = 256
    longest: int = 1024
    shortest: int = SHORTEST

    def requests(self) -> tuple[list[list[int]], list[int]]:
        """Return prompts and lengths of replies: first all prompts are drawn, then all lengths."""
        rng = random.Random(0)

        def length() -> int:
            return rng.randint(self.shortest, self.longest)

        prompts = [[rng.randint(0, HIGHEST_ID) for _ in range(length())] for _ in range(self.count)]
        return prompts, [length() for _ in range(self.count)]


STANDARD = Benchmark()
TINY = Benchmark(count=4, longest=12, shortest=4)


def run(part: Part, options: Options, device: torch.device) -> None:
    """Measure every engine that is there."""
    del device
    for name in ENGINES:
        if part.wants(name, seconds=0 if options.tiny else _LEAST_S):
            with part.measuring(name):
                place = Place() if name == "kaiwa" else place_of(name, options)
                command = ["-m", "tools.gpu.nanovllm", name]
                command += [str(checkpoint(smallest(options), options))]
                found = run_alone(
                    [*command, *["--tiny"] * options.tiny],
                    python=place.python,
                    path=place.path,
                    seconds=part.seconds_left,
                )
                part.add(name, **found)


def _kaiwa(folder: str, benchmark: Benchmark) -> tuple[Any, Any]:
    from engine.llm import LLM
    from engine.sampling_params import SamplingParams

    llm = LLM(
        folder,
        max_num_seqs=benchmark.count,
        max_num_batched_tokens=_MOST_TOKENS,
        max_model_len=4 * benchmark.longest,
        policy="fcfs",
        enable_prefix_caching=False,  # or the second round would read no prompts
    )
    return llm, SamplingParams


def _nano_vllm(folder: str, benchmark: Benchmark) -> tuple[Any, Any]:
    room = importlib.import_module("nanovllm")
    return room.LLM(folder, enforce_eager=False, max_model_len=4096), room.SamplingParams


def _vllm(folder: str, benchmark: Benchmark) -> tuple[Any, Any]:
    room = importlib.import_module("vllm")
    return room.LLM(folder, max_model_len=4096, max_num_seqs=benchmark.count), room.SamplingParams


ENGINES = {"kaiwa": _kaiwa, "nano-vllm": _nano_vllm, "vllm": _vllm}


def main() -> None:
    """Measure one engine in this process and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("folder", help="of the checkpoint")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--result", type=Path, required=True)
    options = parser.parse_args()
    benchmark = TINY if options.tiny else STANDARD
    prompts, lengths = benchmark.requests()
    started = time.perf_counter()
    llm, make_params = ENGINES[options.engine](options.folder, benchmark)
    asked: list[Any] = prompts
    if options.engine == "vllm":
        asked = [{"prompt_token_ids": prompt} for prompt in prompts]
    params = [
        make_params(temperature=TEMPERATURE, ignore_eos=True, max_tokens=length)
        for length in lengths
    ]
    quiet = {} if options.engine == "kaiwa" else {"use_tqdm": False}
    warm: Any = [{"prompt_token_ids": [1, 2, 3]}] if options.engine == "vllm" else [[1, 2, 3]]
    llm.generate(warm, params[:1], **quiet)
    start_s = time.perf_counter() - started
    rates = []
    for _ in range(1 if options.tiny else _ROUNDS):
        started = time.perf_counter()
        llm.generate(asked, params, **quiet)
        rates.append(sum(lengths) / (time.perf_counter() - started))
    found = {
        "tokens_per_second": rates[0],
        "again_tokens_per_second": rates[-1],
        "tokens": sum(lengths),
        "requests": benchmark.count,
        "start_s": start_s,
    }
    options.result.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
