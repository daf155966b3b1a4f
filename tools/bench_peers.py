"""Kaiwa's engine beside transformers' continuous batching and plain ``generate()``, same weights.

Every engine gets the same prompts as token ids, greedy, and as many streams as are asked for in a
closed loop: a stream that ends is followed by the next. Each engine runs alone, in a process of
its own; rounds alternate between engines, so that a machine that drifts drifts for all. Kaiwa runs
as it serves, with its engine in a second process; the peers run in process, without a server,
which spares them that border.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import Progress

from tools.bench_report import Row, Run, write_report

PEERS = ("kaiwa", "transformers-cb", "generate")


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What every engine is given.

    Attributes:
        model: Folder of the checkpoint.
        streams: Closed-loop concurrencies, measured one after the other.
        prompt_tokens: Length of each prompt.
        shared_tokens: How many of them, from the start, all prompts have in common.
        output_tokens: Length of each reply; end tokens do not end it.
        requests_per_stream: How many replies each stream asks for.
        seed: Decides the prompts.
        dtype: Of weights and KV.
    """

    model: str
    streams: list[int]
    prompt_tokens: int = 256
    shared_tokens: int = 192
    output_tokens: int = 64
    requests_per_stream: int = 3
    seed: int = 0
    dtype: str = "bfloat16"

    def passes(self) -> list[tuple[int, int]]:
        """Return ``(number, streams)`` for each pass; number 0 warms up and is not counted."""
        return list(enumerate([1, *self.streams]))

    def prompts(self, number: int, streams: int, vocab_size: int) -> list[list[int]]:
        """Return the prompts of one pass; the unshared parts are new for each."""
        rng = random.Random(self.seed)
        shared = [rng.randrange(10, vocab_size) for _ in range(self.shared_tokens)]
        rng = random.Random(f"{self.seed} {number}")
        own = self.prompt_tokens - self.shared_tokens
        return [
            shared + [rng.randrange(10, vocab_size) for _ in range(own)]
            for _ in range(max(4, streams * self.requests_per_stream))
        ]


class Timings:
    """When each reply was asked for and when its tokens came, on one clock."""

    def __init__(self) -> None:
        self.asked: dict[int, float] = {}
        self.tokens: dict[int, list[float]] = {}

    def ask(self, index: int) -> None:
        """Note that a reply is asked for now."""
        self.asked[index] = time.perf_counter()
        self.tokens[index] = []

    def take(self, index: int, count: int = 1) -> None:
        """Note that ``count`` tokens of it came now."""
        self.tokens[index] += [time.perf_counter()] * count

    def row(self, peer: str, streams: int, *, tokens: int | None = None) -> Row:
        """Sum up; ``tokens`` where a server told how many they were."""
        started = min(self.asked.values())
        ended = max(times[-1] for times in self.tokens.values())
        first = [times[0] - self.asked[i] for i, times in self.tokens.items()]
        gaps = [
            b - a for times in self.tokens.values() for a, b in zip(times, times[1:], strict=False)
        ]
        total = tokens or sum(len(times) for times in self.tokens.values())
        return Row(
            peer=peer,
            streams=streams,
            tokens_per_second=total / (ended - started),
            ttft_p50_ms=1e3 * percentile(first, 50),
            ttft_p99_ms=1e3 * percentile(first, 99),
            itl_p50_ms=1e3 * percentile(gaps, 50),
            itl_p99_ms=1e3 * percentile(gaps, 99),
            requests=len(self.asked),
            tokens=total,
        )


def percentile(values: list[float], percent: float) -> float:
    """Return the value below which ``percent`` of them lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


async def closed_loop(
    prompts: Sequence[Any],
    streams: int,
    timings: Timings,
    reply: Callable[[int, Any], Any],
) -> None:
    """Run ``streams`` workers over the prompts; ``reply`` awaits one reply and notes its tokens."""
    numbered = iter(enumerate(prompts))

    async def work() -> None:
        for index, prompt in numbered:
            timings.ask(index)
            await reply(index, prompt)

    async with asyncio.TaskGroup() as group:
        for _ in range(streams):
            group.create_task(work())


async def measure_kaiwa(workload: Workload) -> list[Row]:
    """Drive ``AsyncEngine`` with its engine in a process of its own."""
    from engine.async_engine import AsyncEngine
    from engine.config import EngineConfig
    from engine.sampling_params import SamplingParams

    config = EngineConfig.from_flat(
        model=workload.model, dtype=workload.dtype, max_num_seqs=max(workload.streams)
    )
    engine = await AsyncEngine.start(config)
    params = SamplingParams(temperature=0, max_tokens=workload.output_tokens, ignore_eos=True)
    try:
        rows = []
        for number, streams in workload.passes():
            timings = Timings()

            async def reply(index: int, prompt: list[int], timings: Timings = timings) -> None:
                async for delta in engine.generate(prompt, params):
                    timings.take(index, len(delta.token_ids))

            prompts = workload.prompts(number, streams, engine.info.vocab_size)
            await closed_loop(prompts, streams, timings, reply)
            rows.append(timings.row("kaiwa", streams))
        return rows[1:]
    finally:
        await engine.aclose()


def _load(workload: Workload) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    read: Any = AutoModelForCausalLM.from_pretrained
    torch.set_num_threads(os.cpu_count() or 1)
    return read(workload.model, dtype=getattr(torch, workload.dtype)).eval()


async def measure_transformers_cb(workload: Workload) -> list[Row]:
    """Drive transformers' continuous batching manager, prefix sharing on, pages of 32 tokens."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    model = _load(workload)
    configure: Any = GenerationConfig
    generation = configure(
        max_new_tokens=workload.output_tokens, do_sample=False, eos_token_id=-1, pad_token_id=0
    )
    settings = ContinuousBatchingConfig(page_size=32, num_blocks=1600, max_batch_tokens=512)
    manager = model.init_continuous_batching(
        generation_config=generation, continuous_batching_config=settings
    )
    manager.start()
    try:
        rows = []
        for number, streams in workload.passes():
            timings = Timings()

            async def reply(
                index: int, prompt: list[int], timings: Timings = timings, streams: int = streams
            ) -> None:
                done = asyncio.Event()
                seen = 0

                def take(result: Any) -> None:
                    nonlocal seen
                    count = len(result.generated_tokens)
                    if count > seen:
                        timings.take(index, count - seen)
                        seen = count
                    if result.is_finished():
                        done.set()

                name = f"{streams}-{index}-{id(timings)}"
                manager.register_result_handler(name, take)
                manager.add_request(prompt, request_id=name, streaming=True)
                await done.wait()

            prompts = workload.prompts(number, streams, model.config.vocab_size)
            await closed_loop(prompts, streams, timings, reply)
            rows.append(timings.row("transformers-cb", streams))
        return rows[1:]
    finally:
        manager.stop(block=True)


async def measure_generate(workload: Workload) -> list[Row]:
    """Drive ``generate()`` in static batches: the next batch starts when the last has ended."""
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList

    model = _load(workload)

    class NoteStep(StoppingCriteria):
        """Called after each step; never stops."""

        def __init__(self, timings: Timings, indexes: range) -> None:
            self.timings, self.indexes = timings, indexes

        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            for index in self.indexes:
                self.timings.take(index)
            return torch.zeros(input_ids.shape[0], dtype=torch.bool)

    rows = []
    for number, streams in workload.passes():
        timings = Timings()
        prompts = workload.prompts(number, streams, model.config.vocab_size)
        for start in range(0, len(prompts), streams):
            indexes = range(start, min(start + streams, len(prompts)))
            batch = torch.tensor([prompts[i] for i in indexes])
            for index in indexes:
                timings.ask(index)
            with torch.inference_mode():
                model.generate(
                    batch,
                    attention_mask=torch.ones_like(batch),
                    max_new_tokens=workload.output_tokens,
                    min_new_tokens=workload.output_tokens,
                    do_sample=False,
                    pad_token_id=0,
                    stopping_criteria=StoppingCriteriaList([NoteStep(timings, indexes)]),
                )
        rows.append(timings.row("generate", streams))
    return rows[1:]


MEASURES = {
    "kaiwa": measure_kaiwa,
    "transformers-cb": measure_transformers_cb,
    "generate": measure_generate,
}


def run_alone(peer: str, workload: Workload) -> list[Row]:
    """Measure one engine in a fresh process and return its rows."""
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        command = [sys.executable, "-m", "tools.bench_peers", "--alone", peer]
        described = msgspec.json.encode(workload).decode()
        done = subprocess.run(
            [*command, "--workload", described, "--result", result.name],
            check=False,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{peer} failed:\n{done.stderr}")
        return msgspec.json.decode(Path(result.name).read_bytes(), type=list[Row])


def describe_machine() -> dict[str, str]:
    """Return what a reader needs to judge the figures; no host name."""
    import torch
    import transformers

    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "processor": f"{os.cpu_count()} cores of {model}",
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "transformers": str(transformers.__version__),
    }


def main() -> None:
    """Read the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="configs/models/kaiwa-demo", help="checkpoint folder")
    parser.add_argument("--streams", default="1,4,16,32", help="concurrencies, comma-separated")
    parser.add_argument("--prompt-tokens", type=int, default=256)
    parser.add_argument("--shared-tokens", type=int, default=192)
    parser.add_argument("--output-tokens", type=int, default=64)
    parser.add_argument("--requests-per-stream", type=int, default=3)
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds over the engines")
    parser.add_argument("--peers", default=",".join(PEERS), help="which engines")
    parser.add_argument("--report", help="write PATH.md, PATH.json and PATH.svg")
    parser.add_argument("--alone", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--workload", help=argparse.SUPPRESS)
    parser.add_argument("--result", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        workload = msgspec.json.decode(options.workload, type=Workload)
        measured = asyncio.run(MEASURES[options.alone](workload))
        Path(options.result).write_bytes(msgspec.json.encode(measured))
        return
    workload = Workload(
        model=options.model,
        streams=[int(part) for part in options.streams.split(",")],
        prompt_tokens=options.prompt_tokens,
        shared_tokens=options.shared_tokens,
        output_tokens=options.output_tokens,
        requests_per_stream=options.requests_per_stream,
        dtype=options.dtype,
    )
    peers = options.peers.split(",")
    rows: list[Row] = []
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("measuring", total=options.rounds * len(peers))
        for round_number in range(options.rounds):
            for peer in peers:
                progress.update(task, description=f"round {round_number + 1}: {peer}")
                rows += run_alone(peer, workload)
                progress.advance(task)
    run = Run(
        command=" ".join(["python -m tools.bench_peers", *sys.argv[1:]]),
        machine=describe_machine(),
        workload=json.loads(msgspec.json.encode(workload)),
        rounds=options.rounds,
        rows=rows,
    )
    write_report(run, Path(options.report) if options.report else None)


if __name__ == "__main__":
    main()
