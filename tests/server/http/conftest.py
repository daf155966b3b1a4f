"""A scripted engine, a server's state around it, and a client of its HTTP side."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import ASGIApp

from server.http.app import build_http_app
from server.http.pages import StaticFile
from server.state import ServerState
from tests.server.http.rooms import make_state
from tests.support.fake_engine import FakeEngine

PAGE = {
    "index.html": StaticFile(b"<!doctype html>", "text/html; charset=utf-8", '"abc"'),
    "app.js": StaticFile(b"start();", "text/javascript; charset=utf-8", '"def"'),
}


@pytest.fixture
def engine() -> FakeEngine:
    """Says the same to everybody."""
    return FakeEngine(reply="[happy] Hello there.")


@pytest.fixture
def state(engine: FakeEngine) -> ServerState:
    """Needs no key."""
    return make_state(engine)


@pytest.fixture
def app(state: ServerState) -> ASGIApp:
    """The HTTP side with a page of two files."""
    return build_http_app(state, web_files=PAGE)


@pytest.fixture
async def client(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """Talks to it without a socket."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
