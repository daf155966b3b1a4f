"""A whole turn over a real socket."""

from __future__ import annotations

import json

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.support.fake_engine import FakeEngine
from tests.support.fake_server import running_server
from tests.support.realtime import breathe, receive, receive_until, say

pytestmark = [pytest.mark.wire]


async def test_a_turn_streams_and_ends() -> None:
    """A reply comes in deltas that make up the text, with ids that rise by one."""
    async with running_server() as server, connect(server.socket_url()) as client:
        events = [await receive(client)]
        assert events[0]["type"] == "session.created"
        await say(client, "Hi!")
        events += await receive_until(client, "response.done")
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert "".join(deltas) == "Hello there."
    assert len(deltas) > 5
    assert events[-1]["response"]["status"] == "completed"
    numbers = [int(event["event_id"].rpartition("_")[2]) for event in events]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_a_cancel_frees_the_engine() -> None:
    """After a cancel the reply is closed and the engine has been told."""
    engine = FakeEngine(reply="x" * 10_000, step_s=0.005)
    async with running_server(engine) as server, connect(server.socket_url()) as client:
        await say(client, "Talk.")
        await receive_until(client, "response.output_text.delta")
        await client.send(json.dumps({"type": "response.cancel"}))
        done = (await receive_until(client, "response.done"))[-1]
        assert done["response"]["status"] == "cancelled"
        assert len(engine.cancelled) == 1


async def test_a_dropped_socket_frees_the_engine() -> None:
    """What was being written for somebody who has been gone for the grace is called off."""
    engine = FakeEngine(reply="x" * 10_000, step_s=0.005)
    async with running_server(engine, resume__detach_grace_s=0.1) as server:
        async with connect(server.socket_url()) as client:
            await say(client, "Talk.")
            await receive_until(client, "response.output_text.delta")
            client.transport.abort()
        async with connect(server.socket_url()) as other:
            await receive(other)
            while engine.num_live:
                await breathe(other)
        assert len(engine.cancelled) == 1


async def test_two_clients_do_not_mix() -> None:
    """Each socket gets its own reply, whole."""
    async with (
        running_server() as server,
        connect(server.socket_url()) as one,
        connect(server.socket_url("model=kaiwa-demo")) as two,
    ):
        await say(one, "a")
        await say(two, "b")
        for client in (one, two):
            done = (await receive_until(client, "response.done"))[-1]
            assert done["response"]["output"][0]["content"][0]["text"] == "Hello there."


async def test_a_bad_message_gets_an_error_and_the_socket_lives() -> None:
    """One unreadable message costs one error event."""
    async with running_server() as server, connect(server.socket_url()) as client:
        await client.send("{not json")
        error = (await receive_until(client, "error"))[-1]
        assert error["error"]["code"] == "invalid_json"
        await say(client, "Still there?")
        await receive_until(client, "response.done")


async def test_unknown_types_never_close_the_socket() -> None:
    """However many events of unknown type come, each gets an error and no more."""
    async with running_server() as server, connect(server.socket_url()) as client:
        for _ in range(30):
            await client.send('{"type": "no.such.event"}')
            error = (await receive_until(client, "error"))[-1]
            assert error["error"]["code"] == "unknown_event_type"


async def test_only_bad_messages_in_a_row_close_the_socket() -> None:
    """After the tenth unreadable message the socket is closed with 4400."""
    async with running_server() as server, connect(server.socket_url()) as client:
        for _ in range(10):
            await client.send("garbage")
        with pytest.raises(ConnectionClosed):
            await receive_until(client, "never")
        assert client.close_code == 4400


async def test_a_binary_message_closes_with_1003() -> None:
    """Events are text."""
    async with running_server() as server, connect(server.socket_url()) as client:
        await client.send(b"\x00\x01")
        with pytest.raises(ConnectionClosed):
            await receive_until(client, "never")
        assert client.close_code == 1003


async def test_a_message_over_the_limit_closes_with_1009() -> None:
    """64 KiB fit, one byte more does not."""
    async with running_server() as server, connect(server.socket_url()) as client:
        filler = "x" * (256 * 1024 - len('{"type":""}'))
        await client.send('{"type":"' + filler + '"}')
        await receive_until(client, "error")
        await client.send('{"type":"' + filler + 'x"}')
        with pytest.raises(ConnectionClosed):
            await receive_until(client, "never")
        assert client.close_code == 1009


async def test_text_that_is_not_utf8_closes_with_1007() -> None:
    """Text frames hold UTF-8."""
    async with running_server() as server, connect(server.socket_url()) as client:
        await client.send(b"\xff\xfe", text=True)
        with pytest.raises(ConnectionClosed):
            await receive_until(client, "never")
        assert client.close_code == 1007


async def test_extension_events_come_to_who_asked() -> None:
    """A default connection gets none of them."""
    engine = FakeEngine(reply="<happy>Hi")
    async with running_server(engine) as server:
        seen = {}
        for query in ("model=aoi", "model=aoi&events=character.v1"):
            async with connect(server.socket_url(query)) as client:
                await say(client, "Hi")
                seen[query] = {
                    event["type"] for event in await receive_until(client, "response.done")
                }
    assert not any(kind.startswith("character.") for kind in seen["model=aoi"])


async def test_an_engine_that_refuses_fails_the_reply() -> None:
    """A refused request ends its response as failed; the session lives."""
    engine = FakeEngine(refuse_with="queue_full")
    async with running_server(engine) as server, connect(server.socket_url()) as client:
        await say(client, "Hi")
        done = (await receive_until(client, "response.done"))[-1]
        assert done["response"]["status"] == "failed"
        assert done["response"]["status_details"]["error"]["code"] == "queue_full"
        engine.refuse_with = None
        await client.send(json.dumps({"type": "response.create"}))
        done = (await receive_until(client, "response.done"))[-1]
        assert done["response"]["status"] == "completed"


async def test_a_long_prompt_is_built_beside_the_loop() -> None:
    """A prompt over the inline bound takes the same way to the same end."""
    engine = FakeEngine(max_model_len=100_000)
    async with (
        running_server(engine, limits__inline_prompt_chars=10) as server,
        connect(server.socket_url()) as client,
    ):
        await say(client, "a long story")
        done = (await receive_until(client, "response.done"))[-1]
        assert done["response"]["status"] == "completed"


@pytest.mark.slow
async def test_a_session_has_a_maximum_age() -> None:
    """At its end the socket is closed with 1001, and the reason says so."""
    async with (
        running_server(limits__max_session_s=1.0) as server,
        connect(server.socket_url()) as client,
    ):
        with pytest.raises(ConnectionClosed):
            await receive_until(client, "never")
        assert client.close_code == 1001
        assert "maximum duration" in (client.close_reason or "")


async def test_a_large_item_is_refused_politely() -> None:
    """Text over an item's bound gets an error that names it, and the socket lives on."""
    async with running_server() as server, connect(server.socket_url()) as client:
        await say(client, "x" * (64 * 1024 + 1))
        error = (await receive_until(client, "error"))[-1]["error"]
        assert (error["code"], error["param"]) == ("limit_exceeded", "item")
        await say(client, "\x01" * 40_000)  # six bytes each, once escaped
        await receive_until(client, "conversation.item.done")


async def test_a_secrets_session_holds_from_the_first_event() -> None:
    """What was settled when the secret was made is shown in ``session.created``."""
    settled = {
        "model": "aoi",
        "instructions": "Speak like a pirate.",
        "temperature": 0.125,
        "max_output_tokens": 3,
        "character": {"events": ["character.v1"]},
    }
    async with running_server() as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            answer = await http.post("/v1/realtime/client_secrets", json={"session": settled})
        key = f"openai-insecure-api-key.{answer.json()['value']}"
        subprotocols = [Subprotocol("realtime"), Subprotocol(key)]
        async with connect(server.socket_url(""), subprotocols=subprotocols) as client:
            session = (await receive(client))["session"]
            await say(client, "Hi!")
            done = (await receive_until(client, "response.done"))[-1]["response"]
    assert (session["model"], session["instructions"]) == ("aoi", "Speak like a pirate.")
    assert (session["temperature"], session["max_output_tokens"]) == (0.125, 3)
    assert "character.expression" in session["character"]["events"]
    assert done["usage"]["output_tokens"] == 3


async def test_a_secret_whose_character_is_gone_opens_nothing() -> None:
    """However long the sentence is, the close frame holds as much of it as fits."""
    name = "m" * 64
    card = {"spec": "chara_card_v2", "data": {"name": "Mio"}}
    settled = {"model": "aoi", "character": {"id": name}}
    async with running_server() as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            await http.post(f"/v1/characters?id={name}", json=card)
            answer = await http.post("/v1/realtime/client_secrets", json={"session": settled})
            await http.delete(f"/v1/characters/{name}")
        key = f"openai-insecure-api-key.{answer.json()['value']}"
        subprotocols = [Subprotocol("realtime"), Subprotocol(key)]
        async with connect(server.socket_url(""), subprotocols=subprotocols) as client:
            with pytest.raises(ConnectionClosed):
                await client.recv()
    assert client.close_code == 1008
    assert (client.close_reason or "").startswith("The client secret: session.character.id is")


async def test_a_conversation_goes_on_in_the_tokens_that_it_had() -> None:
    """The second prompt begins with the first and its reply; the session's end gives both up."""
    engine = FakeEngine()
    async with running_server(engine, resume__window_s=0.1) as server:
        async with connect(server.socket_url()) as client:
            for text in ("Hi!", "How are you?"):
                await say(client, text)
                await receive_until(client, "response.done")
        first, second = engine.prompts.values()
        known = [*first, *map(ord, engine.reply)]
        assert second[: len(known)] == known
        assert {service.tenant for service in engine.services.values()} == {"127.0.0.1"}
        assert all(service.listener is not None for service in engine.services.values())
        async with connect(server.socket_url()) as other:
            await receive(other)
            while not engine.released:
                await breathe(other)


async def test_a_draft_is_read_ahead_of_the_message() -> None:
    """When the reply is asked for, only the end of its prompt is new."""
    engine = FakeEngine()
    async with running_server(engine) as server, connect(server.socket_url()) as client:
        text = "I have something very long to tell you about"
        await client.send(json.dumps({"type": "character.draft", "text": text}))
        await receive(client)
        while not engine.prompts:
            await breathe(client)
        (ahead,) = engine.prompts
        await say(client, text)
        done = (await receive_until(client, "response.done"))[-1]
        assert done["response"]["output"][0]["content"][0]["text"] == engine.reply
        assert list(engine.prompts) == [ahead]
