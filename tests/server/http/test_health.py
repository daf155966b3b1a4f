"""Probes."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from server.http.app import build_http_app
from server.state import ServerState
from server.version import version
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


async def test_everything_in_the_way_is_told(
    client: httpx.AsyncClient, state: ServerState, engine: FakeEngine
) -> None:
    """An operator sees all reasons at once."""
    state.is_draining = True
    engine.seconds_since_progress = 31.0
    state.metrics.num_waiting = 1024
    assert (await client.get("/readyz")).json()["reasons"] == [
        "draining",
        "no engine step for 31 s",
        "the queue is full: 1024 requests wait, 1024 may",
    ]


async def test_numbers_know_how_things_stand(
    client: httpx.AsyncClient, state: ServerState, engine: FakeEngine
) -> None:
    """Readiness and progress are looked up when somebody scrapes."""
    engine.seconds_since_progress = 3.0
    text = (await client.get("/metrics")).text
    assert "kaiwa_ready 1.0" in text
    assert "kaiwa_engine_progress_age_seconds 3.0" in text
    state.is_draining = True
    assert "kaiwa_ready 0.0" in (await client.get("/metrics")).text


async def test_the_version_is_told_to_the_house(
    client: httpx.AsyncClient, state: ServerState
) -> None:
    """What runs here, also while it loads; strangers are told as little as of the metrics."""
    told = (await client.get("/version")).json()
    assert (told["version"], told["model"], told["device"]) == (version(), "tiny", "cpu")
    state.engine = None
    assert (await client.get("/version")).json()["device"] is None
    forwarded = {"X-Forwarded-For": "192.0.2.7"}
    assert (await client.get("/version", headers=forwarded)).status_code == 403


@pytest.mark.parametrize("path", ["/metrics", "/version"])
async def test_an_admin_port_has_the_numbers_to_itself(state: ServerState, path: str) -> None:
    """The other port keeps the probes, for load balancers."""
    listen = replace(state.settings.listen, admin_port=0)
    state.settings = replace(state.settings, listen=listen)
    transport = httpx.ASGITransport(build_http_app(state, web_files={}))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get(path)).status_code == 404
        assert (await client.get("/readyz")).status_code == 200
