"""A conversation outlives its socket: gone on with, listed, erased, and nobody else's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.support.fake_server import running_server
from tests.support.realtime import receive, receive_until, say

pytestmark = [pytest.mark.wire]


async def test_a_conversation_is_gone_on_with() -> None:
    """Its items are not sent again, but they are there, and the model reads them."""
    async with running_server() as server:
        async with connect(server.socket_url()) as client:
            first = (await receive(client))["session"]["conversation"]
            assert first["num_items"] == 0
            await say(client, "I like tea.")
            await receive_until(client, "response.done")
        async with connect(server.socket_url(f"model=aoi&conversation={first['id']}")) as client:
            created = await receive(client)
            assert created["session"]["conversation"] == {"id": first["id"], "num_items": 2}
            await say(client, "What do I like?")
            events = await receive_until(client, "response.done")
            added = [e for e in events if e["type"] == "conversation.item.added"]
            assert len(added) == 2
            last = added[0]["previous_item_id"]
            retrieve = {"type": "conversation.item.retrieve", "item_id": last}
            await client.send(json.dumps(retrieve))
            item = (await receive_until(client, "conversation.item.retrieved"))[-1]["item"]
            assert item["content"][0]["text"] == "Hello there."
        prompt = "".join(map(chr, list(server.engine.prompts.values())[-1]))
        assert "<user>I like tea.<assistant>Hello there.<user>What do I like?" in prompt
        async with httpx.AsyncClient(base_url=server.url) as http:
            (listed,) = (await http.get("/v1/conversations")).json()["data"]
            assert (listed["id"], listed["num_items"]) == (first["id"], 4)
            assert (await http.delete(f"/v1/conversations/{first['id']}")).status_code == 200
            assert (await http.get("/v1/conversations")).json()["data"] == []


async def test_a_reply_that_was_cut_off_is_kept_as_far_as_it_came() -> None:
    """The socket went while it was written."""
    async with running_server() as server:
        async with connect(server.socket_url()) as client:
            name = (await receive(client))["session"]["conversation"]["id"]
            server.engine.step_s = 0.01
            server.engine.reply = "x" * 10_000
            await say(client, "Talk.")
            await receive_until(client, "response.output_text.delta")
        async with httpx.AsyncClient(base_url=server.url) as http:
            items: list[dict[str, str]] = []
            while len(items) < 2:
                items = (await http.get(f"/v1/conversations/{name}")).json()["items"]
            assert items[1]["status"] == "incomplete"


async def test_a_conversation_that_is_not_there_begins_anew() -> None:
    """The client is told right after the greeting."""
    async with (
        running_server() as server,
        connect(server.socket_url("model=aoi&conversation=conv_nowhere")) as client,
    ):
        created = await receive(client)
        assert created["type"] == "session.created"
        assert created["session"]["conversation"]["id"] != "conv_nowhere"
        error = (await receive(client))["error"]
        assert (error["code"], error["param"]) == ("conversation_not_found", "conversation")
        await say(client, "Hi!")
        await receive_until(client, "response.done")


async def test_a_conversation_belongs_to_its_key(tmp_path: Path) -> None:
    """Whoever has another one finds nothing, on either wire."""
    keys = tmp_path / "keys"
    keys.write_text("mio:key-of-mio-0123456789\neve:key-of-eve-0123456789\n", encoding="utf-8")
    mio = {"Authorization": "Bearer key-of-mio-0123456789"}
    eve = {"Authorization": "Bearer key-of-eve-0123456789"}
    async with running_server(auth__api_keys_file=str(keys)) as server:
        async with connect(server.socket_url(), additional_headers=mio) as client:
            name = (await receive(client))["session"]["conversation"]["id"]
            await say(client, "A secret.")
            await receive_until(client, "response.done")
        url = server.socket_url(f"model=aoi&conversation={name}")
        async with connect(url, additional_headers=eve) as client:
            assert (await receive(client))["session"]["conversation"]["num_items"] == 0
            assert (await receive(client))["error"]["code"] == "conversation_not_found"
        async with httpx.AsyncClient(base_url=server.url) as http:
            path = f"/v1/conversations/{name}"
            assert (await http.get(path)).status_code == 401
            assert (await http.get(path, headers=eve)).status_code == 404
            assert (await http.delete(path, headers=eve)).status_code == 404
            assert (await http.get(path, headers=mio)).status_code == 200
            secret = await http.post("/v1/realtime/client_secrets", headers=mio, json={})
            browser = {"Authorization": f"Bearer {secret.json()['value']}"}
            answer = await http.get("/v1/conversations", headers=browser)
            assert answer.json()["error"]["code"] == "client_secret_not_allowed"


async def test_where_nothing_is_kept_nothing_is_found() -> None:
    """The operator's choice."""
    async with running_server(history__keep="off") as server:
        async with connect(server.socket_url()) as client:
            name = (await receive(client))["session"]["conversation"]["id"]
            await say(client, "Hi!")
            await receive_until(client, "response.done")
        async with connect(server.socket_url(f"model=aoi&conversation={name}")) as client:
            await receive(client)
            assert (await receive(client))["error"]["code"] == "conversation_not_found"


async def test_a_conversation_outlives_the_server(tmp_path: Path) -> None:
    """The next one goes on with it, and knows no others' conversations; erased is erased."""
    keep: dict[str, Any] = {"history__keep": "sqlite", "history__file": tmp_path / "kept.db"}
    async with running_server(**keep) as server, connect(server.socket_url()) as client:
        name = (await receive(client))["session"]["conversation"]["id"]
        await say(client, "I like tea.")
        await receive_until(client, "response.done")
    async with running_server(**keep) as server:
        query = f"model=aoi&conversation={name}"
        async with connect(server.socket_url(query)) as client:
            created = await receive(client)
            assert created["session"]["conversation"] == {"id": name, "num_items": 2}
            await say(client, "What do I like?")
            await receive_until(client, "response.done")
        prompt = "".join(map(chr, list(server.engine.prompts.values())[-1]))
        assert "<user>I like tea.<assistant>Hello there.<user>What do I like?" in prompt
        async with httpx.AsyncClient(base_url=server.url) as http:
            (line,) = (await http.get("/v1/conversations/export")).text.splitlines()
            assert len(json.loads(line)["items"]) == 4
            assert (await http.delete("/v1/conversations")).json()["num_deleted"] == 1
    async with running_server(**keep) as server, httpx.AsyncClient(base_url=server.url) as http:
        assert (await http.get(f"/v1/conversations/{name}")).status_code == 404
