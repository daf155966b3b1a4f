"""The Python client against a whole server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from clients.python.address import realtime_address, web_address, with_query
from clients.python.client import RealtimeClient, user_message
from clients.python.errors import (
    ConnectFailed,
    ConnectionLost,
    ConnectRefused,
    ReplyFailed,
    ReplyTimeout,
    RequestRefused,
)
from clients.python.events import UnknownEvent, decode_event
from server.protocol.character_events import CharacterExpression
from server.protocol.objects import ResumeObject
from server.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDeleted,
    ConversationItemTruncated,
    ErrorEvent,
    ResponseDone,
    ResponseOutputTextDelta,
)
from tests.clients.live_server import LiveServer, live_server

pytestmark = pytest.mark.wire


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    """One server for all; each test brings its own connection."""
    with live_server() as server:
        yield server


@pytest.fixture(scope="module")
def slow() -> Iterator[LiveServer]:
    """A server whose replies take a minute."""
    with live_server("a" * 3000, step_s=0.02) as server:
        yield server


async def test_the_session_is_there_from_the_start(server: LiveServer) -> None:
    """``connect`` returns when the server has said who speaks."""
    async with RealtimeClient.connect(server.realtime_url, model="aoi") as client:
        assert client.session is not None
        assert client.session.model == "aoi"
        assert client.session.character.name.ja == "葵"
        assert client.last_event_id


async def test_a_reply_comes_as_typed_events(server: LiveServer) -> None:
    """Deltas spell the text, the face comes first, the end comes last."""
    async with RealtimeClient.connect(server.realtime_url, model="aoi") as client:
        events = [event async for event in client.respond("hello")]
    deltas = [event.delta for event in events if isinstance(event, ResponseOutputTextDelta)]
    assert "".join(deltas) == "Hello there."
    assert any(isinstance(event, CharacterExpression) for event in events)
    assert isinstance(events[-1], ResponseDone)


async def test_say_collects_the_reply(server: LiveServer) -> None:
    """For programs that want the words and no stream, turn after turn."""
    async with RealtimeClient.connect(server.realtime_url, model="aoi") as client:
        for _ in range(3):
            reply = await client.say("hello")
            assert (reply.text, reply.status) == ("Hello there.", "completed")
        assert reply.expressions == ["happy"]
        assert reply.usage is not None
        assert reply.usage.output_tokens > 0


async def test_fields_reach_the_sampler(server: LiveServer) -> None:
    """What is given for one reply holds for it, beside our own mark."""
    async with RealtimeClient.connect(server.realtime_url, model="aoi") as client:
        fields = {"max_output_tokens": 11, "seed": 3, "metadata": {"mine": "1"}}
        events = [event async for event in client.respond("hello", fields=fields)]
    done = events[-1]
    assert isinstance(done, ResponseDone)
    assert done.response.status == "incomplete"
    assert (done.response.metadata or {})["mine"] == "1"
    assert list(server.engine.params.values())[-1].seed == 3


async def test_without_the_extension_there_are_no_faces(server: LiveServer) -> None:
    """Only what was asked for comes."""
    async with RealtimeClient.connect(server.realtime_url, model="aoi", events=()) as client:
        events = [event async for event in client.respond("hello")]
    assert not any(isinstance(event, CharacterExpression) for event in events)


async def test_the_session_can_be_changed(server: LiveServer) -> None:
    """The new configuration comes back whole."""
    async with RealtimeClient.connect(server.realtime_url, model="aoi") as client:
        session = await client.update_session(instructions="Be brief.", temperature=0.5)
        assert session.temperature == 0.5
        assert client.session is session


async def test_a_bad_change_is_refused(server: LiveServer) -> None:
    """The error names the field, and the connection goes on."""
    async with RealtimeClient.connect(server.realtime_url, model="aoi") as client:
        with pytest.raises(RequestRefused) as caught:
            await client.update_session(temperature=-1)
        assert caught.value.param == "session.temperature"
        assert (await client.say("hello")).text == "Hello there."


async def test_items_come_and_go(server: LiveServer) -> None:
    """Their ids are the client's own."""
    async with RealtimeClient.connect(server.realtime_url, model="aoi") as client:
        item = user_message("I am here.")
        item.id = "mine"
        await client.create_item(item)
        added = await client.recv()
        assert isinstance(added, ConversationItemAdded)
        assert added.item.id == "mine"
        await client.recv()
        await client.delete_item("mine")
        assert isinstance(await client.recv(), ConversationItemDeleted)


async def test_raw_events_pass_both_ways(server: LiveServer) -> None:
    """What this version has no type for can still be said."""
    async with RealtimeClient.connect(server.realtime_url, model="aoi") as client:
        await client.send({"type": "no.such.event", "event_id": "mine"})
        error = await client.recv()
        assert isinstance(error, ErrorEvent)
        assert error.error.event_id == "mine"


async def test_a_failed_reply_is_an_error() -> None:
    """``say`` does not return half a reply as if it were whole."""
    with live_server() as server:
        server.engine.refuse_with = "queue_full"
        async with RealtimeClient.connect(server.realtime_url, model="aoi") as client:
            with pytest.raises(ReplyFailed):
                await client.say("hello")


class TestOtherReplies:
    """Replies on the same connection that ``respond`` did not ask for."""

    async def test_a_parallel_reply_is_not_mixed_in(self) -> None:
        """``say`` returns its own words, and faces, alone."""
        with live_server("[happy] Hello there.", step_s=0.005) as server:
            async with RealtimeClient.connect(server.realtime_url, model="aoi") as client:
                await client.send(aside("hello"))
                reply = await client.say("hello")
        assert (reply.text, reply.expressions) == ("Hello there.", ["happy"])

    async def test_a_parallel_reply_that_fails_is_not_ours(self, server: LiveServer) -> None:
        """Its end neither raises nor ends the reply that was asked for."""
        async with RealtimeClient.connect(server.realtime_url, model="aoi") as client:
            await client.send(aside("x" * 5000))
            assert (await client.say("hello")).text == "Hello there."

    async def test_a_refused_item_leaves_no_reply_behind(
        self, slow: LiveServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The reply that was asked for with it is called off, and the next one goes through."""
        words, others = user_message("hello"), user_message("something else")
        words.id = others.id = "mine"
        async with RealtimeClient.connect(slow.realtime_url, model="aoi") as client:
            await client.create_item(others)
            with monkeypatch.context() as patch:
                patch.setattr("clients.python.client.user_message", lambda _text: words)
                for _ in range(2):
                    with pytest.raises(RequestRefused, match="mine"):
                        await client.say("an item with an id that is taken")
            reply = await client.say("hello", fields={"max_output_tokens": 3})
        assert (reply.text, reply.status) == ("aaa", "incomplete")

    async def test_leaving_before_the_reply_begins_leaves_no_debris(self, slow: LiveServer) -> None:
        """A request that is still under way is waited for and cancelled."""
        async with RealtimeClient.connect(slow.realtime_url, model="aoi") as client:
            async with aclosing(client.respond("hello")) as events:
                assert isinstance(await anext(events), ConversationItemAdded)
            reply = await client.say("again", fields={"max_output_tokens": 3})
        assert reply.text == "aaa"


def aside(text: str) -> dict[str, Any]:
    """A request for a reply beside the conversation."""
    content = [{"type": "input_text", "text": text}]
    said = {"type": "message", "role": "user", "content": content}
    return {"type": "response.create", "response": {"conversation": "none", "input": [said]}}


class TestInterrupts:
    """Replies that are not read to their end."""

    async def test_cancel_ends_the_reply(self, slow: LiveServer) -> None:
        """The loop ends by itself, with a cancelled reply."""
        async with RealtimeClient.connect(slow.realtime_url, model="aoi") as client:
            async for event in client.respond("hello"):
                if isinstance(event, ResponseOutputTextDelta):
                    await client.cancel()
        assert isinstance(event, ResponseDone)
        assert event.response.status == "cancelled"

    async def test_cancelling_nothing_is_harmless(self, slow: LiveServer) -> None:
        """A cancel that comes too late does not disturb the next reply."""
        async with RealtimeClient.connect(slow.realtime_url, model="aoi") as client:
            await client.cancel()
            reply = await client.say("hello", fields={"max_output_tokens": 2})
            assert reply.status == "incomplete"

    async def test_leaving_early_leaves_no_debris(self, slow: LiveServer) -> None:
        """The next reply has none of the old one's words."""
        async with RealtimeClient.connect(slow.realtime_url, model="aoi") as client:
            async with aclosing(client.respond("hello")) as events:
                async for event in events:
                    if isinstance(event, ResponseOutputTextDelta):
                        break
            reply = await client.say("again", fields={"max_output_tokens": 3})
            assert reply.text == "aaa"

    async def test_two_readers_at_once_are_a_mistake(self, slow: LiveServer) -> None:
        """They would steal each other's events."""
        async with (
            RealtimeClient.connect(slow.realtime_url, model="aoi") as client,
            aclosing(client.respond("hello")) as events,
        ):
            await anext(events)
            with pytest.raises(RuntimeError, match="already"):
                await client.say("me too")

    async def test_silence_has_a_limit(self, slow: LiveServer) -> None:
        """A server that says nothing does not hold the client for ever."""
        async with RealtimeClient.connect(
            slow.realtime_url, model="aoi", event_timeout_s=0.05
        ) as client:
            with pytest.raises(ReplyTimeout):
                await client.recv()


class TestConnecting:
    """Connections that do not come about, or end."""

    async def test_nobody_there(self) -> None:
        """The message names the address."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"ws://127.0.0.1:{free.getsockname()[1]}/v1/realtime"
        with pytest.raises(ConnectFailed, match="no server answers at ws://127"):
            async with RealtimeClient.connect(url):
                pass

    async def test_not_an_address(self) -> None:
        """Nothing is tried, and the message says what an address looks like."""
        for wrong in ("127.0.0.1:8000", "ftp://127.0.0.1/", "ws://h:x", "ws://[", "ws:///v1"):
            with pytest.raises(ConnectFailed, match="ws://"):
                async with RealtimeClient.connect(wrong):
                    pass

    async def test_an_unknown_model_is_refused_with_reason(self, server: LiveServer) -> None:
        """The handshake's answer says what there is."""
        with pytest.raises(ConnectRefused, match="aoi") as caught:
            async with RealtimeClient.connect(server.realtime_url, model="nobody"):
                pass
        assert caught.value.status == 404

    async def test_keys_are_sent(self, tmp_path: Path) -> None:
        """Without the key there is no way in, with it there is."""
        keys = tmp_path / "keys"
        keys.write_text("alice: sk-alice\n")
        with live_server(api_keys_file=keys) as server:
            with pytest.raises(ConnectRefused) as caught:
                async with RealtimeClient.connect(server.realtime_url, model="aoi"):
                    pass
            assert caught.value.status == 401
            async with RealtimeClient.connect(
                server.realtime_url, model="aoi", api_key="sk-alice"
            ) as client:
                assert (await client.say("hello")).text == "Hello there."

    async def test_a_lost_connection_says_whether_to_come_back(self) -> None:
        """The close code decides."""

        async def hang_up(connection: ServerConnection) -> None:
            await connection.send(SESSION_CREATED)
            await connection.close(1012, "restart")

        async with serve(hang_up, "127.0.0.1", 0) as fake:
            port = fake.sockets[0].getsockname()[1]
            async with RealtimeClient.connect(f"ws://127.0.0.1:{port}/") as client:
                with pytest.raises(ConnectionLost) as caught:
                    await client.recv()
        assert caught.value.code == 1012
        assert caught.value.is_retryable

    async def test_a_resume_token_travels_in_the_query(self) -> None:
        """It is sent, for servers that know what to do with it."""
        paths: list[str] = []

        async def note(connection: ServerConnection) -> None:
            assert connection.request is not None
            paths.append(connection.request.path)
            await connection.send(SESSION_CREATED)
            await connection.wait_closed()

        async with serve(note, "127.0.0.1", 0) as fake:
            url = f"ws://127.0.0.1:{fake.sockets[0].getsockname()[1]}/"
            async with RealtimeClient.connect(url, resume=("tok", "evt_7")):
                await asyncio.sleep(0)
        assert paths == ["/v1/realtime?events=character.v1&resume=tok&last_event_id=evt_7"]


SESSION_CREATED = (
    '{"type":"session.created","event_id":"evt_1","session":{"id":"sess_1","model":"m",'
    '"output_modalities":["text"],"instructions":"","tools":[],"tool_choice":"auto",'
    '"max_output_tokens":"inf","truncation":"auto"}}'
)


def test_unknown_events_keep_all_their_fields() -> None:
    """A newer server may say more than this client knows."""
    event = decode_event('{"type":"character.visemes","event_id":"evt_2","frames":[1]}')
    assert isinstance(event, UnknownEvent)
    assert event.data["frames"] == [1]


@pytest.mark.parametrize(
    ("given", "complete"),
    [
        ("ws://h:1", "ws://h:1/v1/realtime"),
        ("http://h:1/", "ws://h:1/v1/realtime"),
        ("https://h?a=1", "wss://h/v1/realtime?a=1"),
        ("wss://h/deep/v1/realtime", "wss://h/deep/v1/realtime"),
    ],
)
def test_an_address_is_completed(given: str, complete: str) -> None:
    """The scheme becomes a WebSocket's; a path of its own stays."""
    assert realtime_address(given) == complete


@pytest.mark.parametrize(
    ("given", "beside"),
    [
        ("ws://h:1", "http://h:1/v1/characters"),
        ("https://h/v1/realtime?a=1", "https://h/v1/characters"),
        ("wss://h/deep/v1/realtime", "https://h/deep/v1/characters"),
    ],
)
def test_other_pages_are_beside_the_realtime_address(given: str, beside: str) -> None:
    """Same host, same port, same prefix; the query stays behind."""
    assert web_address(given, "/v1/characters") == beside


def test_an_addresss_own_query_is_kept() -> None:
    """Fields are added to it; empty ones are not."""
    assert with_query("ws://h/p?a=1", {"model": "x y", "resume": None}) == "ws://h/p?a=1&model=x+y"


async def test_what_was_heard_is_reported(slow: LiveServer) -> None:
    """An interrupted playback keeps only that much of the reply."""
    async with RealtimeClient.connect(slow.realtime_url, model="aoi") as client:
        await client.draft("Tell me a long story, please, about a")
        async with aclosing(client.respond("Tell me a long story.")) as events:
            async for event in events:
                if isinstance(event, ResponseOutputTextDelta):
                    await client.report_playback(event.item_id, 1, "interrupted")
                    break
        while not isinstance(event, ConversationItemTruncated):
            event = await client.recv()
        assert event.text_end == 1


async def test_a_lost_socket_is_made_good(slow: LiveServer) -> None:
    """A reply that is being read goes on over the next socket, whole and once."""
    text = ""
    async with (
        RealtimeClient.connect(slow.realtime_url, model="aoi") as client,
        aclosing(client.respond("Talk.")) as events,
    ):
        async for event in events:
            if isinstance(event, ResponseOutputTextDelta):
                text += event.delta
                if len(text) in (5, 12):
                    client._socket.transport.abort()
            if len(text) > 30:
                break
    assert text == "a" * len(text)


async def test_what_got_lost_on_its_way_is_asked_again(server: LiveServer) -> None:
    """Words and request that no server has heard are answered over the next socket, once."""
    async with RealtimeClient.connect(server.realtime_url, model="aoi") as client:
        await client.say("hello")
        num_asked = len(server.engine.prompts)
        client._socket.transport.abort()
        assert (await client.say("again")).text == "Hello there."
        assert len(server.engine.prompts) == num_asked + 1


async def test_a_socket_that_was_lost_meanwhile_is_replaced_before_asking(
    server: LiveServer,
) -> None:
    """Whoever is interested hears of the loss."""
    losses: list[ConnectionLost] = []
    async with RealtimeClient.connect(
        server.realtime_url, model="aoi", on_lost=losses.append
    ) as client:
        client._socket.transport.abort()
        await client._socket.wait_closed()
        assert not client.is_open
        assert (await client.say("hello")).text == "Hello there."
        assert client.is_open
    assert [loss.code for loss in losses] == [1006]


async def test_who_does_not_want_to_come_back_hears_of_the_loss(slow: LiveServer) -> None:
    """The error says whether it is worth while."""
    async with RealtimeClient.connect(slow.realtime_url, model="aoi", comes_back=False) as client:
        client._socket.transport.abort()
        with pytest.raises(ConnectionLost) as caught:
            await client.recv()
        assert caught.value.is_retryable


async def test_a_session_that_did_not_wait_is_a_loss() -> None:
    """The new one is there, and what was asked of the old one is not."""
    with live_server() as server:
        async with RealtimeClient.connect(server.realtime_url, model="aoi") as client:
            assert client._resume is not None
            client._resume = ResumeObject(token="res_unknown", window_s=60)
            client._socket.transport.abort()
            with pytest.raises(ConnectionLost, match="did not wait"):
                await client.recv()
            assert (await client.say("hello")).text == "Hello there."
