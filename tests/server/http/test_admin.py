"""The admin port's pages."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from server.http.admin import build_admin_app
from server.state import ServerState


def client_of(state: ServerState, *, host: str = "localhost") -> httpx.AsyncClient:
    """A caller from another machine."""
    transport = httpx.ASGITransport(build_admin_app(state), client=("192.0.2.9", 1234))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/version"])
async def test_whoever_reaches_the_port_may_read(state: ServerState, path: str) -> None:
    """No key is asked for: the port's address is the lock."""
    async with client_of(state) as client:
        assert (await client.get(path)).status_code == 200


async def test_nothing_else_is_there(state: ServerState) -> None:
    """No page, no API; and what is unknown is refused in the usual shape."""
    async with client_of(state) as client:
        for path in ("/", "/v1/models", "/v1/chat/completions"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        assert (await client.post("/metrics")).status_code == 405


async def test_foreign_names_are_kept_out_on_loopback(state: ServerState) -> None:
    """A page whose name was made to point here cannot read the numbers."""
    async with client_of(state, host="evil.example") as client:
        assert (await client.get("/metrics")).status_code == 403


async def test_another_address_may_have_any_name(state: ServerState) -> None:
    """A scraper in another container asks for a service's name."""
    listen = replace(state.settings.listen, admin_host="0.0.0.0")
    state.settings = replace(state.settings, listen=listen)
    async with client_of(state, host="kaiwa:9100") as client:
        assert (await client.get("/metrics")).status_code == 200
