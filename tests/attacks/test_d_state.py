"""D: the protocol in the wrong order, 25 cases: each event has one answer in every state."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.attacks.frames import TEXT, bare_socket, close_code, frame
from tests.attacks.harness import (
    SECRET,
    Target,
    error_to,
    message,
    session,
    still_talks,
    target,
)
from tests.attacks.target import ECHO, LONG
from tests.support.keys import ALICE, EVE, bearer, make_keys
from tests.support.raw_http import dialled, read_answer, upgrade_head
from tests.support.realtime import receive, receive_until, say

pytestmark = [
    pytest.mark.slow,
    pytest.mark.wire(only="uvloop"),
    pytest.mark.asyncio(loop_scope="module"),
]

WINDOW_S = 0.6
ENGINE = "model=kaiwa-demo"
"""Whose replies are not cut short, as those of characters are."""

Event = dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kaiwa(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """A server with keys, which waits for its clients and keeps little of what it tells them."""
    async with target(
        tmp_path_factory.mktemp("target"),
        key=EVE,
        auth__api_keys_file=str(make_keys(tmp_path_factory.mktemp("keys"))),
        resume__window_s=WINDOW_S,
        resume__detach_grace_s=WINDOW_S / 2,
        resume__max_told_bytes=4096,
    ) as running:
        yield running


@contextlib.asynccontextmanager
async def visit(
    there: Target, query: str = "model=aoi", key: str = ALICE
) -> AsyncIterator[tuple[ClientConnection, Event]]:
    """A client and its greeting."""
    url = there.socket_url(query)
    async with asyncio.timeout(60), connect(url, additional_headers=bearer(key)) as client:
        yield client, await receive(client)


def token_in(greeting: Event) -> str:
    """With which its session is come back to."""
    token: str = greeting["session"]["resume"]["token"]
    return token


async def lose(there: Target, *, key: str = ALICE, text: str = "") -> tuple[str, Event]:
    """Open a session, perhaps have a long reply begun, and drop the socket; token and greeting."""
    async with visit(there, ENGINE, key) as (client, greeting):
        if text:
            await say(client, text)
            await receive_until(client, "response.output_text.delta")
        client.transport.abort()
    return token_in(greeting), greeting


async def end_of(client: ClientConnection) -> int | None:
    """Read to the end; the close code."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await client.recv()
    return client.close_code


async def test_d01_what_is_said_before_the_door_opens_is_not_heard(kaiwa: Target) -> None:
    """D01: events behind a handshake without a key are never read, whatever they are."""
    said = frame(TEXT, json.dumps(message(SECRET)).encode())
    async with kaiwa.attacked(), dialled(kaiwa.address) as (reader, writer):
        writer.write(upgrade_head() + said * 10)
        answer = await read_answer(reader)
        assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
        assert await reader.read() == b""


async def test_d02_two_keys_are_none(kaiwa: Target) -> None:
    """D02: nobody chooses for the client which of two headers it means."""
    twice = {"Authorization": f"Bearer {ALICE}\r\nAuthorization: Bearer {EVE}"}
    async with kaiwa.attacked(), dialled(kaiwa.address) as (reader, writer):
        writer.write(upgrade_head(**twice))
        answer = await read_answer(reader)
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")


async def test_d03_a_socket_is_opened_once(kaiwa: Target) -> None:
    """D03: a second handshake inside the first is no frame."""
    async with kaiwa.attacked(), bare_socket(kaiwa, **bearer(ALICE)) as (reader, writer):
        writer.write(upgrade_head(**bearer(ALICE)))
        assert await close_code(reader) == 1002


async def test_d04_one_reply_at_a_time(kaiwa: Target) -> None:
    """D04: a second request is refused by name, and the first reply is whole."""
    async with kaiwa.attacked(), session(kaiwa, key=ALICE) as client:
        await say(client, f"{ECHO}{'la ' * 30}")
        await receive_until(client, "response.output_text.delta")
        await client.send(json.dumps({"type": "response.create", "event_id": "second"}))
        events = await receive_until(client, "response.done")
        (error,) = [event["error"] for event in events if event["type"] == "error"]
        assert error["code"] == "conversation_already_has_active_response"
        assert error["event_id"] == "second"
        assert events[-1]["response"]["status"] == "completed"


@pytest.mark.parametrize("response_id", ["resp_unknown", "", "x" * 500])
async def test_d05_an_unknown_reply_cannot_be_cancelled(kaiwa: Target, response_id: str) -> None:
    """D05: one error; nothing else is stopped in its place."""
    async with kaiwa.attacked(), session(kaiwa, key=ALICE) as client:
        event = {"type": "response.cancel", "response_id": response_id}
        assert (await error_to(client, event))["code"] == "response_cancel_not_active"
        await still_talks(client)


async def test_d06_a_reply_that_has_ended_cannot_be_cancelled(kaiwa: Target) -> None:
    """D06: the race that every client runs into; the same error, and the item stays."""
    async with kaiwa.attacked(), session(kaiwa, key=ALICE) as client:
        await say(client, f"{ECHO}done")
        done = (await receive_until(client, "response.done"))[-1]["response"]
        event = {"type": "response.cancel", "response_id": done["id"]}
        assert (await error_to(client, event))["code"] == "response_cancel_not_active"
        await still_talks(client)


async def test_d07_anothers_reply_cannot_be_cancelled(kaiwa: Target) -> None:
    """D07: its id means nothing on this socket, and it is written to its end."""
    async with kaiwa.attacked(), session(kaiwa, key=ALICE) as alice, session(kaiwa) as eve:
        await say(eve, f"{ECHO}{'la ' * 30}")
        created = (await receive_until(eve, "response.created"))[-1]["response"]
        event = {"type": "response.cancel", "response_id": created["id"]}
        assert (await error_to(alice, event))["code"] == "response_cancel_not_active"
        done = (await receive_until(eve, "response.done"))[-1]["response"]
        assert done["status"] == "completed"


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("res_AAAAAAAAAAAAAAAAAAAAAA.conv_0", id="made-up"),
        pytest.param("", id="empty"),
        pytest.param("x" * 4000, id="long"),
        pytest.param("%00%0a%ff"[:6], id="controls"),
    ],
)
async def test_d08_an_unknown_token_begins_anew(kaiwa: Target, token: str) -> None:
    """D08: a new session, and an error that says so."""
    async with kaiwa.attacked(), visit(kaiwa, f"model=aoi&resume={token}") as (client, greeting):
        assert "resumed" not in greeting["session"]["resume"]
        assert (await receive(client))["error"]["code"] == "session_not_resumed"
        await still_talks(client)


async def test_d09_an_expired_token_begins_anew(kaiwa: Target) -> None:
    """D09: after the window the session is gone, and its token means nothing."""
    async with kaiwa.attacked():
        token, greeting = await lose(kaiwa)
        async with asyncio.timeout(20):
            while (await kaiwa.ask("gauges"))["sessions"] > 1:  # the canary's
                pass
        async with visit(kaiwa, f"model=aoi&resume={token}") as (client, again):
            assert again["session"]["id"] != greeting["session"]["id"]
            assert (await receive(client))["error"]["code"] == "session_not_resumed"


async def test_d10_anothers_token_begins_anew(kaiwa: Target) -> None:
    """D10: it stays good for its owner, who does not notice."""
    async with kaiwa.attacked():
        token, greeting = await lose(kaiwa)
        async with visit(kaiwa, f"model=aoi&resume={token}", EVE) as (client, again):
            assert again["session"]["id"] != greeting["session"]["id"]
            assert (await receive(client))["error"]["code"] == "session_not_resumed"
        async with visit(kaiwa, f"{ENGINE}&resume={token}") as (_, own):
            assert own["session"]["id"] == greeting["session"]["id"]


@pytest.mark.parametrize(
    "number",
    [
        pytest.param("999999", id="D11a-ahead"),
        pytest.param("9" * 400, id="D11b-far-ahead"),
        pytest.param("-1", id="D13a-negative"),
        pytest.param("0x1", id="D13b-no-number"),
        pytest.param("%D9%A1", id="D13c-arabic-digit"),
        pytest.param("", id="D13d-nothing"),
    ],
)
async def test_a_cursor_that_is_none_is_told(kaiwa: Target, number: str) -> None:
    """The session is come back to, with a gap, and an error names the field."""
    async with kaiwa.attacked():
        token, greeting = await lose(kaiwa)
        stem = greeting["event_id"].rpartition("_")[0]
        query = f"{ENGINE}&resume={token}&last_event_id={stem}_{number}"
        async with visit(kaiwa, query) as (client, again):
            assert again["session"]["id"] == greeting["session"]["id"]
            errors = await receive_until(client, "error")
            assert errors[-1]["error"]["param"] == "last_event_id"
            assert errors[-1]["error"]["code"] == "invalid_value"
            await still_talks(client)


async def test_d12_a_cursor_that_is_too_old_gets_the_items_as_they_are(kaiwa: Target) -> None:
    """D12: more was said than is kept: `gap`, the item whole, and then what is new."""
    async with kaiwa.attacked():
        async with visit(kaiwa, ENGINE) as (client, greeting):
            await say(client, f"{ECHO}{'word ' * 150}!")
            await receive_until(client, "response.done")
            client.transport.abort()
        query = f"{ENGINE}&resume={token_in(greeting)}&last_event_id={greeting['event_id']}"
        async with visit(kaiwa, query) as (client, again):
            assert again["session"]["resume"]["gap"] is True
            events = await receive_until(client, "response.done")
            texts = [
                part.get("text", "")
                for event in events
                if event["type"] == "conversation.item.added"
                for part in event["item"]["content"]
            ]
            assert any(text.endswith("word !") for text in texts)
            await still_talks(client)


async def test_d14_the_newer_socket_takes_over(kaiwa: Target) -> None:
    """D14: the older one is closed with 4409, and the reply goes on over the newer."""
    async with kaiwa.attacked(), visit(kaiwa, ENGINE) as (old, greeting):
        await say(old, f"{ECHO}{'la ' * 300}")
        last = (await receive_until(old, "response.output_text.delta"))[-1]["event_id"]
        query = f"{ENGINE}&resume={token_in(greeting)}&last_event_id={last}"
        async with visit(kaiwa, query) as (new, again):
            assert again["session"]["id"] == greeting["session"]["id"]
            done = (await receive_until(new, "response.done"))[-1]["response"]
            assert done["status"] == "completed"
        assert await end_of(old) == 4409


async def test_d15_of_two_who_come_back_one_has_the_session(kaiwa: Target) -> None:
    """D15: with the same token at the same moment; the other begins anew, and is told."""
    async with kaiwa.attacked():
        token, greeting = await lose(kaiwa, text=LONG)
        query = f"{ENGINE}&resume={token}"

        async def come_back() -> str:
            async with visit(kaiwa, query) as (client, again):
                if again["session"]["id"] != greeting["session"]["id"]:
                    return "anew"
                try:
                    for _ in range(40):
                        await receive(client)
                except ConnectionClosed:
                    return f"closed with {client.close_code}"
                return "kept"

        kept, *others = sorted(await asyncio.gather(come_back(), come_back()), reverse=True)
        assert kept == "kept"
        assert others in (["closed with 4409"], ["anew"])


@pytest.mark.parametrize(
    "text", [pytest.param(SECRET, id="D16-same"), pytest.param("other", id="D17-other")]
)
async def test_an_item_of_the_same_name_is_not_added_twice(kaiwa: Target, text: str) -> None:
    """Said once more it is one item; said otherwise it is refused, and the first one stays."""
    first, second = message(SECRET), message(text)
    first["item"]["id"] = second["item"]["id"] = "item_mine"
    async with kaiwa.attacked(), session(kaiwa, key=ALICE) as client:
        await client.send(json.dumps(first))
        await receive_until(client, "conversation.item.done")
        await client.send(json.dumps({**second, "event_id": "again"}))
        event = await receive(client)
        if text != SECRET:
            assert event["error"]["code"] == "item_create_duplicate_item_id"
        await client.send(
            json.dumps({"type": "conversation.item.retrieve", "item_id": "item_mine"})
        )
        item = (await receive_until(client, "conversation.item.retrieved"))[-1]["item"]
        assert item["content"][0]["text"] == SECRET
        await still_talks(client)


@pytest.mark.parametrize("words", ["la " * 9, "something else"])
async def test_d16_a_turn_that_was_answered_is_answered_once(kaiwa: Target, words: str) -> None:
    """D16, D17: asked again under its name, the same reply is told, whatever else is said."""
    asked = {"type": "response.create", "response": {"turn_id": "turn-1"}}
    async with kaiwa.attacked(), session(kaiwa, ENGINE, key=ALICE) as client:
        await client.send(json.dumps(message(f"{ECHO}{'la ' * 9}")))
        texts = []
        for event in (asked, {**asked, "response": {"turn_id": "turn-1", "instructions": words}}):
            await client.send(json.dumps(event))
            done = (await receive_until(client, "response.done"))[-1]["response"]
            texts.append(done["output"][0]["content"][0]["text"])
        assert done["replayed"] is True
        assert texts[0] == texts[1]
        again = {"type": "response.create", "response": {"turn_id": "turn-2\n"}}
        assert (await error_to(client, again))["param"] == "response.turn_id"
        await still_talks(client)


@pytest.mark.parametrize("text_end", [10**9, -1, 2**63])
async def test_d18_nobody_has_heard_what_was_not_said(kaiwa: Target, text_end: int) -> None:
    """D18: playback beyond the reply's end is refused or cut to it; the item keeps its text."""
    async with kaiwa.attacked(), session(kaiwa, "model=aoi&events=character.v1", key=ALICE) as one:
        await say(one, f"{ECHO}short")
        done = (await receive_until(one, "response.done"))[-1]["response"]
        item_id = done["output"][0]["id"]
        event = {"type": "character.playback", "item_id": item_id, "state": "interrupted"}
        await one.send(json.dumps({**event, "text_end": text_end}))
        await one.send(json.dumps({"type": "conversation.item.retrieve", "item_id": item_id}))
        events = await receive_until(one, "conversation.item.retrieved")
        assert {event["error"]["code"] for event in events if event["type"] == "error"} <= {
            "invalid_value"
        }
        assert events[-1]["item"]["content"][0]["text"] == "short"


async def test_d19_nothing_new_begins_while_the_server_drains(tmp_path: Path) -> None:
    """D19: what runs is finished, what comes is refused by name, and the end is 1012 and exit 0."""
    async with target(tmp_path, resume__window_s=0.1) as there, session(there, ENGINE) as client:
        await say(client, f"{ECHO}{'la ' * 400}")
        await receive_until(client, "response.output_text.delta")
        there.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            while True:
                await client.send(
                    json.dumps(
                        {
                            "type": "response.create",
                            "response": {"conversation": "none", "input": [], "instructions": "x"},
                        }
                    )
                )
                event = await receive(client)
                while event["type"] != "error" and event["type"] != "response.created":
                    event = await receive(client)
                # Until the signal is seen, replies that run are many.
                if event["type"] == "error" and event["error"]["code"] != "limit_exceeded":
                    break
        assert event["error"]["code"] == "server_draining"
        done = (await receive_until(client, "response.done"))[-1]["response"]
        assert done["status"] == "completed"
        assert await end_of(client) == 1012
        assert await there.process.wait() == 0


async def test_d20_settings_change_between_replies(kaiwa: Target) -> None:
    """D20: an update in the middle of a reply holds from the next one on."""
    async with kaiwa.attacked(), session(kaiwa, ENGINE, key=ALICE) as client:
        await say(client, f"{ECHO}{'la ' * 60}")
        await receive_until(client, "response.output_text.delta")
        changed = {"type": "realtime", "max_output_tokens": 5, "instructions": SECRET}
        await client.send(json.dumps({"type": "session.update", "session": changed}))
        await receive_until(client, "session.updated")
        done = (await receive_until(client, "response.done"))[-1]["response"]
        assert done["status"] == "completed"
        await say(client, f"{ECHO}{'la ' * 60}")
        done = (await receive_until(client, "response.done"))[-1]["response"]
        assert done["status"] == "incomplete"


async def test_d21_who_leaves_before_the_first_token_leaves_nothing(kaiwa: Target) -> None:
    """D21: gone between the request and its first word; after the grace nothing runs."""
    async with kaiwa.attacked(), visit(kaiwa, ENGINE) as (client, _):
        await say(client, LONG)
        await receive_until(client, "response.created")
        client.transport.abort()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def narrow(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """The demo model with room for two at once: a third has to wait."""
    folder = tmp_path_factory.mktemp("narrow")
    async with target(folder, engine="demo", engine__max_num_seqs=2) as running:
        yield running


@pytest.mark.parametrize(
    "phase",
    [
        pytest.param("queued", id="D22-queued"),
        pytest.param("prefill", id="D23-prefill"),
        pytest.param("decode", id="D24-decode"),
        pytest.param("finish", id="D25-finish"),
    ],
)
async def test_who_leaves_gives_everything_back(narrow: Target, phase: str) -> None:
    """Slots, blocks and requests, whatever the engine was doing for the client that is gone."""
    async with narrow.attacked(), contextlib.AsyncExitStack() as stack:
        others = 2 if phase == "queued" else 0
        for _ in range(others):
            other = await stack.enter_async_context(session(narrow, ENGINE))
            await say(other, "Tell me a very long story.")
        client = await stack.enter_async_context(session(narrow, ENGINE))
        await say(client, "word " * 300 if phase == "prefill" else "Tell me a story.")
        match phase:
            case "queued" | "prefill":
                await receive_until(client, "response.created")
            case "decode":
                await receive_until(client, "response.output_text.delta")
            case _:
                await receive_until(client, "response.output_text.done")
        client.transport.abort()
