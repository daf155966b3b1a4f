"""Errors on the wire."""

from __future__ import annotations

import httpx
import pytest
from starlette.types import ASGIApp

from engine.errors import EngineDead, QueueFull, SelfCheckFailed
from server.config.access import AuthConfig
from server.http.app import build_http_app
from server.http.refusals import from_engine_error
from server.state import ServerState
from tests.server.http.rooms import chat_body, make_state


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/chat/completions", 405),
        ("PUT", "/v1/models", 405),
        ("OPTIONS", "/", 405),
    ],
)
async def test_routing_errors_have_openais_shape(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    """A wrong address or method is an error like any other."""
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


async def test_a_crash_tells_nothing(
    client: httpx.AsyncClient, state: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What went wrong inside is for the log alone."""

    def explode(_model: str) -> None:
        raise RuntimeError("secret path /home/somebody")

    monkeypatch.setattr(type(state.catalog), "resolve", explode)
    answer = await client.post("/v1/chat/completions", json=chat_body())
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["error"]["code"] == "internal"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_every_answer_is_marked_safe(client: httpx.AsyncClient) -> None:
    """Errors and data carry the same headers as the page."""
    for path in ("/", "/livez", "/nothing", "/v1/models"):
        headers = (await client.get(path)).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; ")
        assert headers["referrer-policy"] == "no-referrer"


def test_engine_errors_keep_only_what_is_the_clients_business() -> None:
    """A full queue explains itself; an inner failure does not."""
    assert "limit is 8" in from_engine_error(QueueFull(8, 8, 2.0)).message
    assert from_engine_error(EngineDead("/path")).status == 503
    assert "/path" not in from_engine_error(EngineDead("/path")).message
    assert from_engine_error(SelfCheckFailed("/path")).code == "internal"


async def test_a_page_from_elsewhere_may_not_post(client: httpx.AsyncClient) -> None:
    """The model is not to be used behind a visitor's back."""
    answer = await client.post(
        "/v1/chat/completions", json=chat_body(), headers={"origin": "http://evil.example"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")


async def test_our_own_page_may_post(app: ASGIApp) -> None:
    """The same origin needs no list."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post(
            "/v1/chat/completions", json=chat_body(), headers={"origin": "http://localhost"}
        )
    assert answer.status_code == 200


async def test_an_invited_origin_may_read_the_answer(state: ServerState) -> None:
    """An origin on the list gets the headers that its browser asks for."""
    friend = "https://avatar.example"
    invited = make_state(state.engine, auth=AuthConfig(allowed_origins=(friend,)))
    transport = httpx.ASGITransport(build_http_app(invited, web_files={}))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post(
            "/v1/chat/completions", json=chat_body(), headers={"origin": friend}
        )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == friend
