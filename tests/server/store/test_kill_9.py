"""What was acknowledged is there after ``kill -9``, and nothing is there by half."""

from __future__ import annotations

import asyncio

import pytest

from server.store.memory_store import InMemoryStore
from tests.server.store.killed import LIMITS, write_until_killed
from tests.server.store.rooms import Histories, Stores, everything

pytestmark = [pytest.mark.wire(only="uvloop"), pytest.mark.slow]


@pytest.mark.parametrize("stores", ["sqlite", "postgres"], indirect=True)
@pytest.mark.parametrize("seed", range(3))
async def test_kill_9_loses_nothing_that_was_acknowledged(stores: Stores, seed: int) -> None:
    """What is there is what some number of whole writes made, at least the acknowledged ones."""
    acknowledged = await asyncio.to_thread(write_until_killed, stores.kind, stores.place, seed)
    assert acknowledged > 0
    async with stores.open(**LIMITS) as store:
        found = await everything(store)
    model, histories = InMemoryStore(**LIMITS), Histories(seed)
    for _ in range(acknowledged):
        model.append(histories.next())
    for _ in range(10_000):
        if await everything(model) == found:
            return
        model.append(histories.next())
    pytest.fail(f"{acknowledged} writes were acknowledged, and something of them is not there")
