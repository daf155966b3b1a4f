"""Kaiwa as it serves: the engine in a second process, which the peers are spared."""

from __future__ import annotations

import asyncio
from typing import Any

from engine.async_engine import AsyncEngine
from engine.config import EngineConfig
from engine.sampling_params import SamplingParams
from tools.bench.timing import Figures, Timings, closed_loop
from tools.bench.workload import Workload


def measure(workload: Workload, **settings: Any) -> list[Figures]:
    """Return figures for each of the workload's concurrencies; settings are the engine's."""
    return asyncio.run(_measure(workload, settings))


async def _measure(workload: Workload, settings: dict[str, Any]) -> list[Figures]:
    config = EngineConfig.from_flat(
        model=workload.model,
        dtype=workload.dtype,
        max_num_seqs=max(workload.streams),
        **settings,
    )
    engine = await AsyncEngine.start(config)
    params = SamplingParams(temperature=0, max_tokens=workload.output_tokens, ignore_eos=True)
    try:
        found = []
        for number, streams in workload.passes():
            timings = Timings()

            async def reply(index: int, prompt: list[int], timings: Timings = timings) -> None:
                async for delta in engine.generate(prompt, params):
                    timings.take(index, len(delta.token_ids))

            prompts = workload.prompts(number, streams, engine.info.vocab_size)
            await closed_loop(prompts, streams, timings, reply)
            found.append(timings.figures())
        return found[1:]
    finally:
        await engine.aclose()
