"""``kill -9`` of the server loses nothing that a client was told of."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.support.fake_server import server_process
from tests.support.realtime import receive, say

pytestmark = [pytest.mark.wire(only="uvloop"), pytest.mark.slow]


async def talk(address: str, told: dict[str, dict[str, str]]) -> None:
    """Say one thing after the other until the server is gone; note what it has acknowledged.

    Args:
        address: The server's.
        told: By conversation: what each item says, once it has been told whole.
    """
    # killed while somebody connects: the socket ends as a connection error
    with contextlib.suppress(ConnectionClosed, OSError, EOFError):
        async with connect(f"ws://{address}/v1/realtime?model=aoi") as client:
            name = (await receive(client))["session"]["conversation"]["id"]
            items = told.setdefault(name, {})
            for number in range(1000):
                await say(client, f"Number {number}.")
                while True:
                    event = await receive(client)
                    if event["type"] == "conversation.item.done":
                        note(event["item"], items)
                    if event["type"] == "response.done":
                        break


def note(item: dict[str, Any], items: dict[str, str]) -> None:
    """Take down what an item says."""
    items[item["id"]] = "".join(part["text"] for part in item["content"])


@pytest.mark.parametrize("seed", range(2))
async def test_what_a_client_was_told_of_is_there_after_kill_9(tmp_path: Path, seed: int) -> None:
    """Every acknowledged item, whole and in order; what was being written may be cut off."""
    settings = ["history.keep=sqlite", f"history.file={tmp_path / 'kept.db'}"]
    told: dict[str, dict[str, str]] = {}
    async with server_process("la-la-la", "0.001", *settings) as (process, address):
        talks = [asyncio.create_task(talk(address, told)) for _ in range(6)]
        await asyncio.sleep(0.7 + random.Random(seed).random())
        process.kill()
        await asyncio.gather(*talks)
    assert sum(map(len, told.values())) > 20
    async with (
        server_process("la-la-la", "0.001", *settings) as (_, address),
        httpx.AsyncClient(base_url=f"http://{address}") as http,
    ):
        for name, items in told.items():
            answer = await http.get(f"/v1/conversations/{name}")
            if not items and answer.status_code == 404:
                continue
            found: dict[str, str] = {}
            for item in answer.json()["items"]:
                note(item, found)
            assert list(found)[: len(items)] == list(items)
            assert {name: found[name] for name in items} == items
