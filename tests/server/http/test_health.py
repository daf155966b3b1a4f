"""Probes."""

from __future__ import annotations

import httpx

from server.state import ServerState
from tests.support.fake_engine import FakeEngine


async def test_a_healthy_server_is_ready(client: httpx.AsyncClient) -> None:
    """Both probes say yes."""
    assert (await client.get("/livez")).json() == {"alive": True, "reasons": ["alive"]}
    assert (await client.get("/readyz")).json() == {"ready": True, "reasons": ["ready"]}


async def test_a_loading_server_lives_but_is_not_ready(
    client: httpx.AsyncClient, state: ServerState
) -> None:
    """Loading is no reason to be killed."""
    state.engine = None
    assert (await client.get("/livez")).status_code == 200
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert answer.json()["reasons"] == ["the model is loading"]
    assert answer.headers["retry-after"]


async def test_a_draining_server_is_not_ready(
    client: httpx.AsyncClient, state: ServerState
) -> None:
    """Load balancers look elsewhere while it stops."""
    state.is_draining = True
    assert (await client.get("/readyz")).status_code == 503


async def test_a_dead_engine_is_not_ready(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    """Without an engine there is nothing to send work to."""
    engine.is_alive = False
    assert (await client.get("/readyz")).status_code == 503


async def test_an_engine_without_progress_is_not_ready(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    """An engine that says it lives and makes no step does not."""
    engine.seconds_since_progress = 1000.0
    assert (await client.get("/readyz")).status_code == 503


async def test_probes_are_not_cached(client: httpx.AsyncClient) -> None:
    """A proxy must not answer for the server."""
    assert (await client.get("/readyz")).headers["cache-control"] == "no-store"
