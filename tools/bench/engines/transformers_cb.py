"""transformers' continuous batching manager, prefix sharing on, pages of 32 tokens."""

from __future__ import annotations

import asyncio
from typing import Any

from transformers import ContinuousBatchingConfig, GenerationConfig

from tools.bench.engines.untouched import load
from tools.bench.timing import Figures, Timings, closed_loop
from tools.bench.workload import Workload


def measure(workload: Workload) -> list[Figures]:
    """Return figures for each of the workload's concurrencies."""
    return asyncio.run(_measure(workload))


async def _measure(workload: Workload) -> list[Figures]:
    model = load(workload)
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
