"""Who may come in, by which page, with which key; and that nobody finds what is another's."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.support.cards import card_png
from tests.support.fake_server import Running, running_server
from tests.support.keys import (
    ALG_NONE,
    ALICE,
    CHAT_ONLY,
    EVE,
    EXPIRED,
    FUTURE,
    bearer,
    make_keys,
)
from tests.support.raw_http import Answer, exchange, upgrade_head
from tests.support.realtime import receive, receive_until, say

pytestmark = [pytest.mark.wire]

ALLOWED = "https://a.example"
ORIGINS = {
    "evil": "https://evil.example",
    "null": "null",
    "suffix": "https://a.example.evil.example",
    "port": "https://a.example:444",
    "scheme": "http://a.example",
    "case": "https://A.example",
    "homograph": "https://xn--80a.example",  # a Cyrillic letter that looks like the Latin one
    "prefix": "https://evil-a.example",
    "user": "https://a.example@evil.example",
    "path": "https://a.example/",
}
"""Pages that are not the allowed one, however near."""

KEYS = {
    "missing": ("", "invalid_api_key"),
    "empty": ("Bearer", "invalid_api_key"),
    "wrong": ("Bearer kw_nobody-0123456789abcdef", "invalid_api_key"),
    "truncated": (f"Bearer {ALICE[:-1]}", "invalid_api_key"),
    "longer": (f"Bearer {ALICE}0", "invalid_api_key"),
    "another scheme": (f"Basic {ALICE}", "invalid_api_key"),
    "alg none": (f"Bearer {ALG_NONE}", "invalid_api_key"),
    "a name": ("Bearer alice", "invalid_api_key"),
    "no live secret": ("Bearer ek_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "invalid_api_key"),
    "expired": (f"Bearer {EXPIRED}", "api_key_expired"),
    "not yet valid": (f"Bearer {FUTURE}", "api_key_not_yet_valid"),
}
"""Headers that open nothing, and the code that says so."""

IDS = ("mika", "nobo")
"""Somebody's character, and nobody's."""

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    """Needs keys, and lets one foreign page in."""
    async with running_server(
        auth__api_keys_file=str(make_keys(tmp_path)),
        auth__allowed_origins=[ALLOWED],
        characters__folder=str(tmp_path / "cards"),
    ) as running:
        yield running


async def knock(server: Running, target: str = "/v1/realtime?model=aoi", **head: str) -> Answer:
    """A handshake."""
    return await exchange(server.address, upgrade_head(target, host="localhost", **head))


async def test_pages_that_are_not_the_allowed_one_stay_out(server: Running) -> None:
    """On both wires, whether they have a key or not, before it is looked at."""
    async with httpx.AsyncClient(base_url=server.url) as http:
        for name, origin in ORIGINS.items():
            for key in (bearer(ALICE), {}):
                answer = await knock(server, Origin=origin, **key)
                assert (answer.status, answer.error["code"]) == (403, "origin_not_allowed"), name
            headers = {"Origin": origin, **bearer(ALICE)}
            posted = await http.post("/v1/realtime/client_secrets", headers=headers, json={})
            assert posted.json()["error"]["code"] == "origin_not_allowed", name
            assert "access-control-allow-origin" not in posted.headers


async def test_programs_and_the_allowed_page_come_in(server: Running) -> None:
    """With a key."""
    assert (await knock(server, **bearer(ALICE))).status == 101
    assert (await knock(server, Origin=ALLOWED, **bearer(ALICE))).status == 101
    assert (await knock(server, Origin=ALLOWED)).status == 401


async def test_keys_that_open_nothing_are_refused_on_both_wires(server: Running) -> None:
    """With one code each, and without being said again."""
    async with httpx.AsyncClient(base_url=server.url) as http:
        for name, (header, code) in KEYS.items():
            answer = await knock(server, Authorization=header)
            assert (answer.status, answer.error["code"]) == (401, code), name
            assert answer.headers["www-authenticate"] == "Bearer"
            got = await http.get("/v1/models", headers={"Authorization": header} if header else {})
            assert (got.status_code, got.json()["error"]["code"]) == (401, code), name
            shown = header.partition(" ")[2].strip()
            assert not shown or shown not in got.text + answer.body.decode()
            assert got.json()["error"]["message"] == answer.error["message"]


async def test_a_browsers_key_is_judged_like_any_other(server: Running) -> None:
    """Among the subprotocols, where it is not said again."""
    for key, status in ((ALICE, 101), (EXPIRED, 401), (ALG_NONE, 401), ("", 401)):
        offered = f"realtime, openai-insecure-api-key.{key}"
        answer = await knock(server, Sec_WebSocket_Protocol=offered)
        assert answer.status == status
        assert answer.headers.get("sec-websocket-protocol", "realtime") == "realtime"


async def test_a_key_in_the_address_is_not_taken(server: Running) -> None:
    """The answer says where it belongs, and does not say it again."""
    async with httpx.AsyncClient(base_url=server.url) as http:
        for name in ("api_key", "API-Key", "access_token", "token", "key"):
            answer = await knock(server, f"/v1/realtime?model=aoi&{name}={ALICE}")
            got = await http.get("/v1/models", params={name: ALICE})
            for status, error in (
                (answer.status, answer.error),
                (got.status_code, got.json()["error"]),
            ):
                assert (status, error["code"]) == (401, "invalid_api_key")
                assert "Authorization: Bearer" in error["message"]
                assert ALICE not in error["message"]


async def test_two_authorization_headers_are_none(server: Running) -> None:
    """Even where both are good."""
    head = upgrade_head(host="localhost", **bearer(ALICE))
    line = f"Authorization: Bearer {ALICE}\r\n".encode()
    answer = await exchange(server.address, head.replace(line, line * 2))
    assert answer.status == 401


async def test_a_key_without_the_scope_opens_no_session(server: Running) -> None:
    """It is told which one it lacks."""
    answer = await knock(server, **bearer(CHAT_ONLY))
    assert (answer.status, answer.error["code"]) == (403, "insufficient_scope")
    assert "the scope realtime;" in answer.error["message"]
    async with httpx.AsyncClient(base_url=server.url) as http:
        body = {"model": "aoi", "messages": [{"role": "user", "content": "Hi"}]}
        for key, status in ((CHAT_ONLY, 200), (ALICE, 200)):
            got = await http.post("/v1/chat/completions", headers=bearer(key), json=body)
            assert got.status_code == status
        got = await http.post("/v1/realtime/client_secrets", headers=bearer(CHAT_ONLY), json={})
        assert got.json()["error"]["code"] == "insufficient_scope"


async def test_a_secret_is_worth_its_key_and_no_more(server: Running) -> None:
    """It opens sessions of its maker, and makes no other secrets."""
    async with httpx.AsyncClient(base_url=server.url) as http:
        made = await http.post("/v1/realtime/client_secrets", headers=bearer(ALICE), json={})
        secret = made.json()["value"]
        offered = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{secret}")]
        async with connect(server.socket_url(), subprotocols=offered) as client:
            assert (await receive(client))["type"] == "session.created"
        for path in ("/v1/realtime/client_secrets", "/v1/chat/completions"):
            got = await http.post(path, headers=bearer(secret), json={})
            assert got.json()["error"]["code"] == "client_secret_not_allowed"


async def converse(client: ClientConnection) -> tuple[str, str]:
    """Say something; returns the ids of the conversation and of the item."""
    conversation = (await receive(client))["session"]["conversation"]["id"]
    await say(client, "A secret.")
    events = await receive_until(client, "response.done")
    item = next(one["item"] for one in events if one["type"] == "conversation.item.done")
    return conversation, item["id"]


def alike(text: str, *ids: str) -> str:
    """An answer without what must differ: the id that was asked for, and what is random."""
    for one in ids:
        text = text.replace(one, "ID")
    return re.sub(r"(sess|conv|evt|item|resp|res|ek)_[\w-]+|\b\d{10}\b", "", text)


async def test_anothers_conversation_is_like_one_that_never_was_over_http(
    server: Running,
) -> None:
    """Every answer is the same, to the letter."""
    async with connect(server.socket_url(), additional_headers=bearer(ALICE)) as client:
        theirs, _ = await converse(client)
    never = "conv_" + "0" * (len(theirs) - 5)
    requests = [
        ("GET", "/v1/conversations/{}"),
        ("DELETE", "/v1/conversations/{}"),
        ("GET", "/v1/conversations?after={}"),
    ]
    async with httpx.AsyncClient(base_url=server.url, headers=bearer(EVE)) as http:
        for method, path in requests:
            answers = [await http.request(method, path.format(id)) for id in (theirs, never)]
            first, second = answers
            assert first.status_code == second.status_code >= 400
            assert alike(first.text, theirs) == alike(second.text, never)
            assert first.headers.keys() == second.headers.keys()
        assert (await http.get("/v1/conversations")).json()["data"] == []
        own = await http.get(f"/v1/conversations/{theirs}", headers=bearer(ALICE))
        assert own.status_code == 200


async def test_anothers_conversation_is_like_one_that_never_was_on_the_socket(
    server: Running,
) -> None:
    """The session begins anew, with the same words."""
    async with connect(server.socket_url(), additional_headers=bearer(ALICE)) as client:
        theirs, _ = await converse(client)
    never = "conv_" + "0" * (len(theirs) - 5)
    told = []
    for id in (theirs, never):
        url = server.socket_url(f"model=aoi&conversation={id}")
        async with connect(url, additional_headers=bearer(EVE)) as client:
            events = [await receive(client), await receive(client)]
            assert [one["type"] for one in events] == ["session.created", "error"]
            told.append(alike(json.dumps(events), id))
    assert told[0] == told[1]


async def test_anothers_token_is_like_one_that_never_was(server: Running) -> None:
    """It leads to no session and to no conversation, while its owner is there and after."""
    async with connect(server.socket_url(), additional_headers=bearer(ALICE)) as alice:
        created = await receive(alice)
        await say(alice, "A secret.")
        await receive_until(alice, "response.done")
        theirs = created["session"]["resume"]["token"]
        secret, _, conversation = theirs.partition(".")
        never = f"{'res_'.ljust(len(secret), 'A')}.conv_{'0' * (len(conversation) - 5)}"
        told = []
        for token in (theirs, never):
            url = server.socket_url(f"model=aoi&resume={token}&last_event_id=evt_1")
            async with connect(url, additional_headers=bearer(EVE)) as eve:
                events = [await receive(eve), await receive(eve)]
                assert [one["type"] for one in events] == ["session.created", "error"]
                told.append(alike(json.dumps(events), token))
        assert told[0] == told[1]
        assert "A secret." not in told[0]
        await say(alice, "Still here.")  # and nobody has taken the session away
        await receive_until(alice, "response.done")


async def ask(client: ClientConnection, **event: Any) -> dict[str, Any]:
    """Send an event and take what comes back."""
    await client.send(json.dumps(event))
    return await receive(client)


async def test_anothers_items_are_like_items_that_never_were(server: Running) -> None:
    """While their owner is there: looked at, cut, erased, built upon, or made again."""
    never = "item_" + "0" * 16
    async with (
        connect(server.socket_url(), additional_headers=bearer(ALICE)) as alice,
        connect(server.socket_url(), additional_headers=bearer(EVE)) as eve,
    ):
        _, theirs = await converse(alice)
        await receive(eve)
        message = {"role": "user", "content": [{"type": "input_text", "text": "x"}]}
        told: dict[str, list[str]] = {theirs: [], never: []}
        for id, answers in told.items():
            for kind in ("retrieve", "delete", "truncate"):
                more = {"content_index": 0, "audio_end_ms": 0} if kind == "truncate" else {}
                event = await ask(eve, type=f"conversation.item.{kind}", item_id=id, **more)
                assert event["type"] == "error"
                answers.append(alike(json.dumps(event), id))
            item = {"type": "message", **message}
            event = await ask(eve, type="conversation.item.create", previous_item_id=id, item=item)
            answers.append(alike(json.dumps(event), id))
        assert told[theirs] == told[never]
        item = {"type": "message", "id": theirs, **message}
        event = await ask(eve, type="conversation.item.create", item=item)
        assert event["type"] == "conversation.item.added"  # ids are a conversation's own
        event = await ask(alice, type="conversation.item.retrieve", item_id=theirs)
        assert event["item"]["content"][0]["text"] != "x"


async def test_anothers_character_is_like_one_that_never_was(server: Running) -> None:
    """Looked at, taken, deleted, talked to, or lent; and its id is free for everybody else."""
    png = {"Content-Type": "image/png"}
    chat = {"messages": [{"role": "user", "content": "Hi"}]}
    requests: list[tuple[str, str, dict[str, Any] | None]] = [
        ("GET", "/v1/characters/{}", None),
        ("GET", "/v1/characters/{}/card", None),
        ("GET", "/v1/characters/{}/picture", None),
        ("DELETE", "/v1/characters/{}", None),
        ("GET", "/v1/models/{}", None),
        ("POST", "/v1/chat/completions", {"model": "{}", **chat}),
        ("POST", "/v1/realtime/client_secrets", {"session": {"model": "{}"}}),
    ]
    async with httpx.AsyncClient(base_url=server.url, headers=bearer(EVE)) as http:
        sent = await http.post(
            "/v1/characters?id=mika", content=card_png(), headers={**png, **bearer(ALICE)}
        )
        assert sent.status_code == 201
        for method, path, body in requests:
            answers = []
            for id in IDS:
                content = None if body is None else json.dumps(body).replace("{}", id)
                answer = await http.request(method, path.format(id), content=content, headers=JSON)
                answers.append((answer.status_code, list(answer.headers), alike(answer.text, id)))
            assert answers[0] == answers[1], path
        knocks = [await knock(server, f"/v1/realtime?model={id}", **bearer(EVE)) for id in IDS]
        told = [alike(one.body.decode(), id) for one, id in zip(knocks, IDS, strict=True)]
        assert (knocks[0].status, told[0]) == (404, told[1])
        for path in ("/v1/models", "/v1/characters"):
            assert "mika" not in (await http.get(path)).text
        own = await http.post("/v1/characters?id=mika", content=card_png(), headers=png)
        assert own.status_code == 201
