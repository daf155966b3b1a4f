"""A dropped socket resumes where it was, byte for byte, whoever drops it and whenever."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.types.websocket_reconnection import ReconnectingEvent, ReconnectingOverrides
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.fake_engine import FakeEngine
from tests.support.fake_server import Running, running_server
from tests.support.realtime import receive, receive_until, say

pytestmark = pytest.mark.wire

SONG = "la-" * 60


class Visitor:
    """Comes back over another socket whenever its own is gone.

    Attributes:
        events: All that it has heard, but for the greetings of later sockets.
        greetings: Of every socket.
    """

    def __init__(self, server: Running) -> None:
        self.server = server
        self.events: list[dict[str, Any]] = []
        self.greetings: list[dict[str, Any]] = []

    async def connect(self) -> ClientConnection:
        """Come, or come back."""
        query = "model=aoi"
        if self.greetings:
            last = (self.events or self.greetings)[-1]["event_id"]
            token = self.greetings[-1]["session"]["resume"]["token"]
            query += f"&resume={token}&last_event_id={last}"
        socket = await connect(self.server.socket_url(query))
        self.greetings.append(await receive(socket))
        self.events.append(self.greetings[-1])
        return socket

    @property
    def text(self) -> str:
        """What the deltas say."""
        kind = "response.output_text.delta"
        return "".join(event["delta"] for event in self.events if event["type"] == kind)


@pytest.mark.parametrize("seed", range(4))
async def test_random_drops_lose_and_repeat_nothing(seed: int) -> None:
    """The text is whole, event ids rise by one over all sockets, and there is one end."""
    rng = random.Random(seed)
    engine = FakeEngine(reply=SONG, step_s=0.002, obeys_max_tokens=False)
    async with running_server(engine) as server:
        visitor = Visitor(server)
        socket = await visitor.connect()
        await say(socket, "Sing.")
        while visitor.events[-1]["type"] != "response.done":
            try:
                for _ in range(rng.randint(1, 40)):
                    visitor.events.append(await receive(socket))
                    if visitor.events[-1]["type"] == "response.done":
                        break
                else:
                    socket.transport.abort()
            except ConnectionClosed:
                pass
            if visitor.events[-1]["type"] != "response.done":
                socket.transport.abort()
                socket = await visitor.connect()
        await socket.close()
        assert visitor.text == SONG
        ids = [int(event["event_id"].rpartition("_")[2]) for event in visitor.events]
        assert ids == list(range(1, len(ids) + 1))
        kinds = [event["type"] for event in visitor.events]
        assert kinds.count("response.done") == 1
        assert kinds.count("session.created") > 1
        assert {greeting["session"]["id"] for greeting in visitor.greetings} == {
            visitor.greetings[0]["session"]["id"]
        }


async def test_the_sdks_own_hook_resumes() -> None:
    """OpenAI's client, unmodified, reads one reply over several sockets."""
    engine = FakeEngine(reply=SONG, step_s=0.005, obeys_max_tokens=False)
    async with running_server(engine) as server:
        seen: dict[str, str] = {}
        attempts: list[int] = []

        def come_back(news: ReconnectingEvent) -> ReconnectingOverrides:
            attempts.append(news.close_code)
            return {
                "extra_query": {
                    **news.extra_query,
                    "resume": seen["token"],
                    "last_event_id": seen["event_id"],
                }
            }

        sdk = AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0)
        text = ""
        async with sdk.realtime.connect(model="aoi", on_reconnecting=come_back) as connection:
            await connection.conversation.item.create(
                item={
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "Sing."}],
                }
            )
            await connection.response.create()
            num_deltas = 0
            async for event in connection:
                fields: Any = event.model_dump()
                seen["event_id"] = fields["event_id"]
                if event.type == "session.created":
                    seen["token"] = fields["session"]["resume"]["token"]
                elif event.type == "response.output_text.delta":
                    text += event.delta
                    num_deltas += 1
                    if num_deltas in (10, 30):
                        connection._connection.transport.abort()
                elif event.type == "response.done":
                    break
        assert text == SONG
        assert len(attempts) == 2
        await sdk.close()


async def test_a_reply_is_whole_for_who_comes_late() -> None:
    """It went on without a listener, and comes in one piece."""
    engine = FakeEngine(reply=SONG, step_s=0.001, obeys_max_tokens=False)
    async with running_server(engine) as server:
        visitor = Visitor(server)
        socket = await visitor.connect()
        await say(socket, "Sing.")
        visitor.events += await receive_until(socket, "response.output_text.delta")
        socket.transport.abort()
        async with connect(server.socket_url()) as other:
            await say(other, "Sing.")
            await receive_until(other, "response.done")
        socket = await visitor.connect()
        visitor.events += await receive_until(socket, "response.done")
        await socket.close()
        assert visitor.text == SONG
        assert visitor.greetings[-1]["session"]["resume"]["gap"] is False


async def test_a_conversation_goes_on_after_it_was_resumed() -> None:
    """The next turn is asked over the new socket, with all that was said before."""
    async with running_server(FakeEngine()) as server:
        visitor = Visitor(server)
        socket = await visitor.connect()
        await say(socket, "One.")
        visitor.events += await receive_until(socket, "response.done")
        await socket.close()
        socket = await visitor.connect()
        assert visitor.greetings[-1]["session"]["conversation"]["num_items"] == 2
        await say(socket, "Two.")
        await receive_until(socket, "response.done")
        prompt = list(server.engine.prompts.values())[-1]
        assert "One." in "".join(map(chr, prompt))
        await socket.close()


async def test_an_unknown_token_begins_anew_and_says_so() -> None:
    """With one error, behind the greeting."""
    async with (
        running_server() as server,
        connect(server.socket_url("model=aoi&resume=res_x&last_event_id=evt_1")) as client,
    ):
        assert (await receive(client))["type"] == "session.created"
        error = (await receive(client))["error"]
        assert (error["code"], error["param"]) == ("session_not_resumed", "resume")
        await client.send(json.dumps({"type": "response.create"}))
        await receive_until(client, "response.done")
