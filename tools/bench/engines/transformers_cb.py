"""transformers' continuous batching manager, prefix sharing on.

On a CPU with pages of 32 tokens; on a GPU it chooses pages, memory, graphs and all else by itself.
"""

from __future__ import annotations

import asyncio
from typing import Any

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig

from tools.bench.engines.untouched import load
from tools.bench.timing import Figures, Timings, closed_loop
from tools.bench.workload import Workload

_ON_A_CPU = {"page_size": 32, "num_blocks": 1600, "max_batch_tokens": 512}


def measure(workload: Workload, *, attention: str | None = None) -> list[Figures]:
    """Return figures for each of the workload's concurrencies."""
    return asyncio.run(_measure(workload, attention))


async def _measure(workload: Workload, attention: str | None) -> list[Figures]:
    model = load(workload, attention)
    configure: Any = GenerationConfig
    generation = configure(
        max_new_tokens=workload.output_tokens, do_sample=False, eos_token_id=-1, pad_token_id=0
    )
    sizes: dict[str, Any] = {} if torch.cuda.is_available() else _ON_A_CPU
    settings = ContinuousBatchingConfig(**sizes)
    manager = model.init_continuous_batching(
        generation_config=generation, continuous_batching_config=settings
    )
    if torch.cuda.is_available():
        getattr(manager, "warmup", int)()  # captures its graphs, where it has any
    manager.start()
    try:
        found = []
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
            found.append(timings.figures())
        return found[1:]
    finally:
        manager.stop(block=True)
