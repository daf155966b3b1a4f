"""Stop strings that end inside a tag, from the SDK's call down to the model's tokens."""

from __future__ import annotations

import json

import pytest
from openai import OpenAI
from websockets.asyncio.client import connect

from tests.support.real_server import real_server
from tests.support.realtime import receive_until, say

pytestmark = [pytest.mark.slow, pytest.mark.wire]

STOPS = (["y"], ["]"], ["a"], [":"])


async def test_no_stop_string_leaves_half_a_tag() -> None:
    """Every reply of the demo model begins with a tag, and these stop strings cut it or another."""
    with real_server() as server:
        sdk = OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        for stop in STOPS:
            reply = sdk.chat.completions.create(
                model="aoi",
                messages=[{"role": "user", "content": "How are you?"}],
                stop=stop,
                seed=1,
                extra_body={"tag_dialect": "face"},
            )
            text = reply.choices[0].message.content or ""
            assert text.count("[") == text.count("]")
            assert reply.choices[0].finish_reason == "stop"
        async with connect(f"{server.realtime_url}?model=aoi&events=character.v1") as socket:
            for stop in STOPS:
                session = {"type": "realtime", "stop": stop, "seed": 1}
                await socket.send(json.dumps({"type": "session.update", "session": session}))
                await say(socket, "How are you?")
                (done,) = (await receive_until(socket, "response.done"))[-1:]
                assert done["response"]["status"] == "completed"
                assert "[" not in done["response"]["output"][0]["content"][0]["text"]
