"""Completions go through the gate: 429, 503, and what is left in the headers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from server.auth.keys import KeyLimits
from server.config.limits import LimitsConfig
from server.http.app import build_http_app
from server.state import ServerState
from tests.server.http.rooms import AsgiCall, chat_body, make_state
from tests.support.fake_engine import FakeEngine
from tests.support.narrow_engine import NarrowEngine

PATH = "/v1/chat/completions"


class Shop:
    """A server with limits, and its clients."""

    def __init__(self, engine: FakeEngine, limits: LimitsConfig) -> None:
        self.engine = engine
        self.state: ServerState = make_state(
            engine,
            keys=[("mio", "key-of-mio-0123456789"), ("rin", "key-of-rin-0123456789")],
            limits=limits,
        )
        self.app = build_http_app(self.state, web_files={})

    def call(self, who: str = "mio", **fields: Any) -> AsgiCall:
        """A request under way."""
        headers = {"authorization": f"Bearer key-of-{who}-0123456789"}
        return AsgiCall(self.app, PATH, content=chat_body(**fields), headers=headers)

    async def post(self, who: str = "mio", **fields: Any) -> httpx.Response:
        """A whole request."""
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            headers = {"authorization": f"Bearer key-of-{who}-0123456789"}
            return await client.post(PATH, json=chat_body(**fields), headers=headers)

    def metric(self, reason: str) -> float:
        """How many were refused for a reason."""
        name = "kaiwa_admission_rejections_total"
        return self.state.metrics.registry.get_sample_value(name, {"reason": reason}) or 0.0


@contextlib.asynccontextmanager
async def shop(engine: FakeEngine | None = None, **limits: float) -> AsyncIterator[Shop]:
    """Open; at the end nothing may be left in the gate."""
    one = Shop(engine or FakeEngine(), LimitsConfig(**limits))  # type: ignore[arg-type]
    yield one
    await asyncio.sleep(60)
    assert one.state.gate.quotas.num_live == 0
    one.state.gate.check_integrity()


async def test_without_limits_there_are_no_headers() -> None:
    """Nothing to tell."""
    async with shop() as one:
        answer = await one.post()
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_left_is_in_openais_headers(stream: bool) -> None:
    """Whole or as events."""
    async with shop(requests_per_min=60, tokens_per_min=6000) as one:
        answer = await one.post(stream=stream, max_tokens=100)
        headers = answer.headers
        assert headers["x-ratelimit-limit-requests"] == "60"
        assert headers["x-ratelimit-remaining-requests"] == "59"
        assert headers["x-ratelimit-reset-requests"] == "1s"
        assert headers["x-ratelimit-limit-tokens"] == "6000"
        assert int(headers["x-ratelimit-remaining-tokens"]) < 6000


async def test_tokens_run_out_and_come_back() -> None:
    """429 with the wait, and after the wait it works again; nobody else notices."""
    async with shop(tokens_per_min=600) as one:
        while (answer := await one.post(max_tokens=64)).status_code == 200:
            pass
        error = answer.json()["error"]
        assert answer.status_code == 429
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert answer.headers["x-ratelimit-limit-tokens"] == "600"
        assert (await one.post("rin", max_tokens=64)).status_code == 200
        await asyncio.sleep(int(answer.headers["retry-after"]))
        assert (await one.post(max_tokens=64)).status_code == 200
        assert one.metric("tokens_per_min") == 1


async def test_a_prompt_that_never_fits_is_refused_without_a_time() -> None:
    """Coming back would not help."""
    async with shop(tokens_per_min=60) as one:
        answer = await one.post(text="x" * 100)
        assert answer.status_code == 429
        assert "retry-after" not in answer.headers
        assert "60 per minute" in answer.json()["error"]["message"]


async def test_requests_run_out_before_anything_is_tokenised() -> None:
    """Even a prompt that would not fit is refused for the rate."""
    async with shop(requests_per_min=1) as one:
        assert (await one.post()).status_code == 200
        answer = await one.post(text="x" * 10**5)
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "60"


async def test_replies_at_once_are_bounded_also_when_all_are_asked_for_in_one_moment() -> None:
    """Whoever comes through first; a stream that is refused has no head of its own."""
    engine = FakeEngine(reply="la" * 50, step_s=0.01)
    async with shop(engine, max_concurrent_responses=3) as one:
        calls = [one.call(stream=True) for _ in range(8)]
        await asyncio.gather(*(call.task for call in calls))
        assert sorted(call.status or 0 for call in calls) == [200] * 3 + [429] * 5
        assert one.metric("concurrent_responses") == 5


async def test_who_leaves_gives_the_place_back() -> None:
    """In the middle of a stream."""
    engine = FakeEngine(reply="la" * 500, step_s=0.01)
    async with shop(engine, max_concurrent_responses=1) as one:
        call = one.call(stream=True)
        await call.until(3)
        assert (await one.post()).status_code == 429
        await call.hang_up()
        await asyncio.sleep(0.1)
        assert (await one.post(max_tokens=5)).status_code == 200


async def test_a_key_may_have_limits_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """More or less than the settings say."""
    async with shop(requests_per_min=1) as one:
        auth = one.state.auth
        monkeypatch.setitem(auth._limits, "mio", KeyLimits(requests_per_min=2))
        assert [(await one.post()).status_code for _ in range(3)] == [200, 200, 429]
        assert [(await one.post("rin")).status_code for _ in range(2)] == [200, 429]


async def test_an_overloaded_server_says_503_and_when() -> None:
    """What runs goes on, and afterwards there is room again."""
    engine = FakeEngine(reply="la" * 500, step_s=0.01)
    async with shop(engine, max_wait_s=5.0) as one:
        running = one.call(stream=True)
        await running.until(3)
        clock = asyncio.get_running_loop().time
        waiting = [one.state.gate.pass_through("rin", 1, clock()) for _ in range(20)]
        await asyncio.sleep(3)
        answer = await one.post()
        error = answer.json()["error"]
        assert answer.status_code == 503
        assert (error["type"], error["code"]) == ("server_error", "server_overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        assert one.metric("overloaded") == 1
        for passage in waiting:
            passage.end(0, clock())
        await running.task
        assert running.events[-1] == "[DONE]"
        assert (await one.post(max_tokens=5)).status_code == 200


@pytest.mark.slow
async def test_a_hundred_requests_of_one_key_do_not_starve_another() -> None:
    """The one that has much is turned away while the other one is served, and hears no gap."""
    engine = NarrowEngine(reply="la" * 400, step_s=0.01, num_rows=4)  # four replies per second
    async with shop(engine, max_wait_s=8.0) as one:
        one.state.gate.describe_engine(engine.info)
        warm = [one.post(who, max_tokens=100) for who in ("mio", "rin", "mio", "rin")]
        await asyncio.gather(*warm)
        clock = asyncio.get_running_loop().time
        stream = one.call("rin", stream=True, max_tokens=800)
        await stream.until(3)
        flood = []
        for _ in range(100):
            flood.append(one.call("mio", stream=True, max_tokens=100))
            await asyncio.sleep(0.005)
        began = clock()
        assert (await one.post("rin", max_tokens=10)).status_code == 200
        assert clock() - began < 8
        await asyncio.gather(stream.task, *(call.task for call in flood))
        assert stream.events[-1] == "[DONE]"
        refused = sum(call.status == 503 for call in flood)
        assert 60 < refused < 95
        assert one.metric("overloaded") == refused
