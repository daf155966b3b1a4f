"""Many people at once on the demo model, coming, interrupting and vanishing as they like."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import resource
import statistics
from dataclasses import dataclass, field
from pathlib import Path
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
AS_SHIPPED = {"KAIWA_LIMITS_MAX_WAIT_S": "inf", "KAIWA_HISTORY_KEEP": "sqlite"}
"""However slow the machine is, everybody is answered; conversations are kept in a file, as ever."""
LOOK_EVERY_S = 1.0
FEW_FILES = 8
"""That a process may open for good once it has been used."""
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
    resumed: int = 0
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


class Visitor:
    """Somebody with a session, over as many sockets as it takes."""

    def __init__(self, server: RealServer, rng: random.Random, totals: Totals) -> None:
        self._server = server
        self._rng = rng
        self._totals = totals
        self._socket: ClientConnection | None = None
        self._token = ""
        self._event_id = ""
        self._number = 0

    async def visit(self) -> None:
        """Connect, talk for a few turns, and leave politely or not."""
        self._totals.connections += 1
        await self._connect()
        for _ in range(self._rng.randint(1, 5)):
            if not await self._turn():
                return
        assert self._socket is not None
        await self._socket.close()

    async def _turn(self) -> bool:
        """Say something and hear the reply; tells whether we are still here."""
        rng, totals = self._rng, self._totals
        await say(self._open_socket, rng.choice(SAYINGS))
        interrupt_after = rng.choice([None, None, 0, 1, 4])
        vanish_after = rng.choice([None] * 9 + [2])
        lose_after = rng.choice([None, None, 1, 3, 9])
        reply: OpenReply | None = None
        seen = 0
        while True:
            event = await self._receive()
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
                    return True
                case "error":
                    code = event["error"]["code"]
                    assert code == "response_cancel_not_active", event["error"]
            if seen == vanish_after:
                totals.vanished += 1
                self._open_socket.transport.abort()
                return False
            if reply is not None and seen == interrupt_after:
                interrupt_after = None
                await self._open_socket.send('{"type": "response.cancel"}')
            elif reply is not None and seen == lose_after:
                lose_after = None
                totals.resumed += 1
                self._open_socket.transport.abort()
                await asyncio.sleep(rng.choice([0, 0, 0.3]))
                await self._connect()

    @property
    def _open_socket(self) -> ClientConnection:
        assert self._socket is not None
        return self._socket

    async def _connect(self) -> None:
        """Come, or come back to where we were."""
        query = "?model=aoi"
        if self._token:
            query += f"&resume={self._token}&last_event_id={self._event_id}"
        self._socket = await connect(self._server.realtime_url + query)
        greeting = await self._receive()
        assert greeting["type"] == "session.created"
        resume = greeting["session"]["resume"]
        assert resume.get("resumed", False) is bool(self._token)
        assert not resume.get("gap", False), "something was lost for good"
        self._token = resume["token"]

    async def _receive(self) -> dict[str, Any]:
        async with asyncio.timeout(60):
            event: dict[str, Any] = msgspec.json.decode(await self._open_socket.recv())
        self._event_id = event["event_id"]
        number = int(self._event_id.rsplit("_", 1)[1])
        assert number == self._number + 1, "an event was lost or repeated"
        self._number = number
        return event


class Gauges:
    """What the server's process holds, over time.

    Attributes:
        resident: Megabytes, one per look.
        num_files: Open file descriptors, likewise.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.resident: list[float] = []
        self.num_files: list[int] = []

    def look(self) -> None:
        """Take a sample."""
        process = Path(f"/proc/{self._pid}")
        pages = int((process / "statm").read_text().split()[1])
        self.resident.append(pages * resource.getpagesize() / 2**20)
        self.num_files.append(sum(1 for _ in (process / "fd").iterdir()))

    def slope_mb_per_hour(self, seconds: float) -> float:
        """How fast memory grows over the second half, when everything has been warmed up."""
        half = self.resident[len(self.resident) // 2 :]
        if len(half) < 3:
            return 0.0
        return statistics.linear_regression(range(len(half)), half).slope * 3600 / seconds


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

    Many sockets are lost in the middle of a reply, and resumed. What the server's process holds in
    memory and in open files is looked at all the while. ``KAIWA_SOAK_SECONDS`` sets how long.
    """
    totals = Totals()
    loop = asyncio.get_running_loop()
    arguments = ("--max-num-seqs", "16", "--kv-cache-tokens", "16384")
    with real_server(*arguments, KAIWA_RESUME_WINDOW_S="30", **AS_SHIPPED) as server:
        baseline = server.metric("kaiwa_kv_cache_usage_ratio")
        gauges = Gauges(server.process.pid)
        gauges.look()
        deadline = loop.time() + SECONDS

        async def person(number: int) -> None:
            rng = random.Random(number)
            await asyncio.sleep(rng.random())
            while loop.time() < deadline:
                try:
                    await Visitor(server, rng, totals).visit()
                except websockets.ConnectionClosedError as error:
                    pytest.fail(f"the server closed a connection: {error}")

        async def watch() -> None:
            while loop.time() < deadline:
                await asyncio.sleep(LOOK_EVERY_S)
                gauges.look()

        async with asyncio.TaskGroup() as people:
            for number in range(PEOPLE):
                people.create_task(person(number))
            people.create_task(watch())
        await until(lambda: server.metric("kaiwa_sessions_parked") == 0, patience_s=90)
        await until(lambda: server.metric("kaiwa_num_requests_running") == 0)
        gauges.look()
        assert server.metric("kaiwa_num_requests_waiting") == 0
        assert server.metric("kaiwa_kv_cache_usage_ratio") == baseline
    slope = gauges.slope_mb_per_hour(LOOK_EVERY_S)
    logger.warning(
        "%s; MB %.0f to %.0f, at the end %.1f MB/h; files %d to %d, at most %d",
        totals,
        gauges.resident[0],
        gauges.resident[-1],
        slope,
        gauges.num_files[0],
        gauges.num_files[-1],
        max(gauges.num_files),
    )
    assert sum(totals.ended.values()) + totals.vanished == totals.started
    assert totals.ended.get("failed", 0) == 0
    assert min(totals.ended.get("completed", 0), totals.ended.get("cancelled", 0)) > 0
    assert totals.resumed > 0
    assert gauges.num_files[-1] <= gauges.num_files[0] + FEW_FILES
