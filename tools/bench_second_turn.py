"""What a long conversation's second turn costs, against a cold start, on a real engine process.

A conversation of so many tokens is read once and answered; then its next turn, which only appends,
is timed, and beside it a conversation of the same length that nobody has seen. Rounds alternate;
medians.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from engine.async_engine import AsyncEngine
from engine.config import EngineConfig
from engine.request import Service
from engine.sampling_params import SamplingParams
from server.config.shipped import DEMO_MODEL

_NEW_TOKENS = 24
_REPLY = SamplingParams(temperature=0.0, max_tokens=16, ignore_eos=True)


@dataclass(frozen=True, slots=True)
class Turn:
    """How one turn went.

    Attributes:
        ttft_s: From submission to the first token.
        num_prefilled: Prompt tokens that were not cached.
        reply: Its tokens.
    """

    ttft_s: float
    num_prefilled: int
    reply: list[int]


async def ask(engine: AsyncEngine, prompt: list[int], conversation: str) -> Turn:
    """Have a turn answered."""
    started = time.perf_counter()
    first: float | None = None
    reply: list[int] = []
    service = Service(conversation_id=conversation)
    async for delta in engine.generate(prompt, _REPLY, service=service):
        first = first or time.perf_counter() - started
        reply += delta.token_ids
        if delta.finish_reason is not None:
            missing = delta.num_prompt_tokens - delta.num_cached_tokens
            return Turn(first, missing, reply)
    raise AssertionError("the reply did not end")


async def measure(options: argparse.Namespace) -> tuple[list[Turn], list[Turn]]:
    """Return the cold turns and the second turns."""
    config = EngineConfig.from_flat(
        model=str(options.model),
        kv_cache_tokens=options.tokens * (2 * options.rounds + 2) + 4096,
        max_model_len=options.tokens + 512,
        policy=options.policy,
    )
    engine = await AsyncEngine.start(config)
    rng = random.Random(options.seed)
    vocab_size = engine.info.vocab_size
    cold: list[Turn] = []
    second: list[Turn] = []
    try:
        for number in range(options.rounds):
            prompt = [rng.randrange(16, vocab_size) for _ in range(options.tokens)]
            name = f"c{number}"
            first = await ask(engine, prompt, name)
            cold.append(first)
            said = [rng.randrange(16, vocab_size) for _ in range(_NEW_TOKENS)]
            second.append(await ask(engine, [*prompt, *first.reply, *said], name))
    finally:
        await engine.aclose()
    return cold, second


def main(argv: list[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench_second_turn", description=__doc__)
    parser.add_argument("--model", default=str(DEMO_MODEL), help="folder (the demo model)")
    parser.add_argument(
        "--tokens", type=int, default=3000, help="of the conversation (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=7, help="(%(default)s)")
    parser.add_argument("--policy", default="deadline", help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    options = parser.parse_args(argv)
    cold, second = asyncio.run(measure(options))
    table = Table("turn", "tokens prefilled", "TTFT p50 ms", "min", "max")
    for name, turns in (("cold start", cold), ("second turn", second)):
        times = sorted(1e3 * turn.ttft_s for turn in turns)
        prefilled = statistics.median(turn.num_prefilled for turn in turns)
        cells = (statistics.median(times), times[0], times[-1])
        table.add_row(name, f"{prefilled:g}", *(f"{cell:.1f}" for cell in cells))
    Console().print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
