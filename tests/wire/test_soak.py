"""Many people at once on the demo model, coming, interrupting and vanishing as they like."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from tests.support.real_server import RealServer, real_server
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.wire(only="uvloop")]

logger = logging.getLogger(__name__)

PEOPLE = 32
SECONDS = float(os.environ.get("KAIWA_SOAK_SECONDS", "15"))
SAYINGS = [
    "Hi, I'm Ken!",
    "What do you like?",
    "Tell me a joke.",
    "こんにちは",
    "お名前は？",
    "Bye!",
]


@dataclass
class Totals:
    """What all conversations saw together."""

    started: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    vanished: int = 0
    connections: int = 0
    deltas: int = 0


@dataclass
class OpenReply:
    """A reply that has not ended; ``text`` is what its deltas spell."""

    text: str = ""
    closed_with: str | None = None


async def say(socket: ClientConnection, text: str) -> None:
    """Send a message and ask for a reply."""
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    for event in (
        {"type": "conversation.item.create", "item": item},
        {"type": "response.create", "response": {"temperature": 0.8}},
    ):
        await socket.send(msgspec.json.encode(event).decode())


async def one_visit(server: RealServer, rng: random.Random, totals: Totals) -> None:
    """Connect, talk for a few turns, interrupt some, and leave politely or not."""
    totals.connections += 1
    last_number = 0
    async with connect(server.realtime_url + "?model=aoi") as socket:
        for _ in range(rng.randint(1, 5)):
            await say(socket, rng.choice(SAYINGS))
            interrupt_after = rng.choice([None, None, 0, 1, 4])
            vanish_after = rng.choice([None] * 9 + [2])
            reply: OpenReply | None = None
            seen = 0
            while True:
                async with asyncio.timeout(60):
                    event = msgspec.json.decode(await socket.recv())
                number = int(event["event_id"].rsplit("_", 1)[1])
                assert number == last_number + 1, "an event was lost or repeated"
                last_number = number
                match event["type"]:
                    case "response.created":
                        assert reply is None, "two replies at once"
                        reply = OpenReply()
                        totals.started += 1
                    case "response.output_text.delta":
                        assert reply is not None
                        assert reply.closed_with is None, "text after the end of the text"
                        reply.text += event["delta"]
                        totals.deltas += 1
                        seen += 1
                    case "response.output_text.done":
                        assert reply is not None
                        reply.closed_with = event["text"]
                    case "response.done":
                        assert reply is not None
                        status = event["response"]["status"]
                        totals.ended[status] = totals.ended.get(status, 0) + 1
                        check_end(reply, event["response"]["output"])
                        break
                    case "error":
                        code = event["error"]["code"]
                        assert code == "response_cancel_not_active", event["error"]
                if seen == vanish_after:
                    totals.vanished += 1
                    socket.transport.abort()
                    return
                if reply is not None and seen == interrupt_after:
                    interrupt_after = None
                    await socket.send('{"type": "response.cancel"}')


def check_end(reply: OpenReply, output: list[dict[str, Any]]) -> None:
    """The deltas, the closing event and the item spell the same text."""
    if not output:
        assert reply.text == ""
        return
    assert reply.closed_with == reply.text
    (part,) = output[0]["content"]
    assert part["text"] == reply.text


async def test_every_reply_ends_once_and_nothing_is_lost_repeated_or_leaked() -> None:
    """32 people for a while: each reply ends once, every event id follows the last, KV comes back.

    ``KAIWA_SOAK_SECONDS`` sets how long.
    """
    totals = Totals()
    loop = asyncio.get_running_loop()
    with real_server("--max-num-seqs", "16", "--kv-cache-tokens", "16384") as server:
        baseline = server.metric("kaiwa_kv_cache_usage_ratio")
        deadline = loop.time() + SECONDS

        async def person(number: int) -> None:
            rng = random.Random(number)
            await asyncio.sleep(rng.random())
            while loop.time() < deadline:
                try:
                    await one_visit(server, rng, totals)
                except websockets.ConnectionClosedError as error:
                    pytest.fail(f"the server closed a connection: {error}")

        async with asyncio.TaskGroup() as people:
            for number in range(PEOPLE):
                people.create_task(person(number))
        await until(lambda: server.metric("kaiwa_num_requests_running") == 0)
        assert server.metric("kaiwa_num_requests_waiting") == 0
        assert server.metric("kaiwa_kv_cache_usage_ratio") == baseline
    logger.info("%s", totals)
    assert sum(totals.ended.values()) + totals.vanished == totals.started
    assert totals.ended.get("failed", 0) == 0
    assert min(totals.ended.get("completed", 0), totals.ended.get("cancelled", 0)) > 0
