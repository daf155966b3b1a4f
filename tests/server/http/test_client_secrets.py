"""Short-lived keys for browsers."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from server.http.app import build_http_app
from tests.server.http.rooms import chat_body, make_state
from tests.support.fake_engine import FakeEngine

PATH = "/v1/realtime/client_secrets"
KEY = {"authorization": "Bearer sk-alice"}


def locked_client() -> httpx.AsyncClient:
    """A client of a server that needs keys."""
    app = build_http_app(make_state(FakeEngine(), keys=[("alice", "sk-alice")]), web_files={})
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


async def test_a_secret_opens_what_its_key_opens() -> None:
    """It looks as SDKs expect and works at once."""
    async with locked_client() as client:
        minted = (await client.post(PATH, json={"session": {"model": "aoi"}}, headers=KEY)).json()
        assert minted["value"].startswith("ek_")
        assert minted["session"] == {"type": "realtime", "model": "aoi"}
        assert minted["expires_at"] == pytest.approx(time.time() + 600, abs=5)
        headers = {"authorization": f"Bearer {minted['value']}"}
        assert (await client.get("/v1/characters", headers=headers)).status_code == 200


async def test_a_secret_may_name_its_character() -> None:
    """One of this server, or a card of its own."""
    card = {"spec": "chara_card_v2", "data": {"name": "Mio"}}
    for character in ({"id": "aoi"}, {"group": ["aoi"]}, {"card": card}):
        async with locked_client() as client:
            body = {"session": {"character": character}}
            answer = await client.post(PATH, json=body, headers=KEY)
        assert answer.status_code == 200
        assert answer.json()["session"]["character"] == character


async def test_a_secret_cannot_make_others() -> None:
    """Otherwise it would never end."""
    async with locked_client() as client:
        minted = (await client.post(PATH, json={}, headers=KEY)).json()
        headers = {"authorization": f"Bearer {minted['value']}"}
        assert (await client.post(PATH, json={}, headers=headers)).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"expires_after": {"seconds": 9}},
        {"expires_after": {"seconds": 7201}},
        {"session": []},
        {"session": {"temperature": -1}},
        {"session": {"type": "transcription"}},
        {"session": {"instructions": "x" * 70_000}},
        {"session": {"character": {"id": "nobody"}}},
        {"session": {"character": {"card": {"spec": 7}}}},
    ],
)
async def test_bad_wishes_are_refused(body: dict[str, Any]) -> None:
    """Ten seconds to two hours, for a session that could be opened."""
    async with locked_client() as client:
        answer = await client.post(PATH, json=body, headers=KEY)
    assert answer.status_code == 400


async def test_a_secret_does_not_open_completions() -> None:
    """A browser's key is for sessions; the sentence says which key to use instead."""
    async with locked_client() as client:
        minted = (await client.post(PATH, json={}, headers=KEY)).json()
        headers = {"authorization": f"Bearer {minted['value']}"}
        answer = await client.post("/v1/chat/completions", json=chat_body(), headers=headers)
    assert answer.status_code == 403
    assert "API key" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"session":{"instructions":"\xff"}}', id="no text"),
        pytest.param(b'{"session":{"x":"\xed\xa0\x80"}}', id="half a pair, as bytes"),
        pytest.param(b'{"session":{"x":"\\ud800"}}', id="half a pair, escaped"),
        pytest.param(b'{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}", id="deep, unread"),
        pytest.param(b'{"session":{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}}", id="deep, shown"),
    ],
)
async def test_what_is_no_json_is_told_so(body: bytes) -> None:
    """Also where it stands in a field that nobody reads."""
    async with locked_client() as client:
        headers = {**KEY, "content-type": "application/json"}
        answer = await client.post(PATH, content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"
