"""Measures one scheme at all rates, in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path

from engine.model.memory import give_back_memory
from tools.bench.schemes.figures import Figures, Served, sum_up
from tools.bench.schemes.generate import load_libraries
from tools.bench.schemes.memory import forget_peak, peak_mib, resident_mib
from tools.bench.schemes.plan import Ask, Plan, trace
from tools.bench.schemes.ways import Way, start_way


def main() -> None:
    """Measure the scheme that the command line names, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the scheme")
    parser.add_argument("--plan", required=True, help="as JSON")
    parser.add_argument("--result", type=Path, required=True, help="file for the figures")
    options = parser.parse_args()
    found = asyncio.run(_measure(options.name, Plan.from_json(options.plan)))
    options.result.write_text(json.dumps(found), encoding="utf-8")


async def _measure(name: str, plan: Plan) -> list[Figures]:
    config = json.loads((Path(plan.model) / "config.json").read_text(encoding="utf-8"))
    vocab_size = int(config["vocab_size"])
    load_libraries()
    before = resident_mib()
    way = await start_way(name, plan)
    try:
        await way.warm()
        found = []
        for rate in plan.rates:
            give_back_memory()
            forget_peak()
            served = await serve(way, trace(plan, rate, vocab_size))
            found.append(sum_up(served, peak_mib() - before))
        return found
    finally:
        await way.aclose()


_EARLY_S = 0.001
"""uvloop's timers count whole milliseconds, and may ring that much early."""


async def serve(way: Way, asks: Sequence[Ask]) -> list[Served]:
    """Let requests arrive when the trace says so, and note when each was served.

    A request counts from the moment in the trace, also when the loop was busy then.
    """
    way.expect(len(asks))
    began = time.perf_counter()

    async def one(ask: Ask) -> Served:
        due = began + ask.start_s
        await asyncio.sleep(due - time.perf_counter() + _EARLY_S)
        reply = await way.reply(ask)
        ended = time.perf_counter()
        if reply.tokens != ask.output_tokens:
            raise RuntimeError(f"a reply has {reply.tokens} of {ask.output_tokens} tokens")
        return Served(ask.start_s, reply.first - began, ended - began, reply.tokens)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(ask)) for ask in asks]
    return [task.result() for task in tasks]


if __name__ == "__main__":
    main()
