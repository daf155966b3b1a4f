"""All five schemes on a tiny model, their replies of the right length."""

from __future__ import annotations

import asyncio

import pytest

from tools.bench.schemes.plan import Ask, Plan
from tools.bench.schemes.report import WAYS
from tools.bench.schemes.ways import start_way

PLAN = Plan(
    model="configs/models/kaiwa-demo", dtype="float32", rates=(1.0,), requests=5, batch_size=2
)
ASKS = [Ask(0.0, tuple(range(10, 12 + number)), 2 + number % 3) for number in range(5)]


@pytest.mark.slow
@pytest.mark.wire(only="uvloop")
@pytest.mark.parametrize("name", WAYS)
async def test_each_way_serves_every_request(name: str) -> None:
    """Also the last ones, whose batch is not full."""
    way = await start_way(name, PLAN)
    try:
        await way.warm()
        way.expect(len(ASKS))
        replies = await asyncio.gather(*(way.reply(ask) for ask in ASKS))
    finally:
        await way.aclose()
    assert [reply.tokens for reply in replies] == [ask.output_tokens for ask in ASKS]
