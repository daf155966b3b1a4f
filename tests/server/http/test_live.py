"""The live view of the engine."""

from __future__ import annotations

import asyncio

import httpx
import msgspec
from starlette.types import ASGIApp

from engine.outputs import StepStats
from server.http.app import build_http_app
from server.http.live import (
    MAX_LISTENERS,
    RING_STEPS,
    LiveListener,
    LiveView,
    make_alias,
    step_view,
)
from server.state import ServerState
from tests.server.http.conftest import PAGE
from tests.server.http.rooms import AsgiCall, chat_body, make_state
from tests.support.fake_engine import FakeEngine
from tests.support.keys import plain_key

PATH = "/v1/engine/live"


def make_step(step: int = 1, *, time_s: float = 0.0, decode_tokens: int = 1) -> StepStats:
    """A step with one joining request."""
    return StepStats(
        step=step,
        time_s=time_s,
        duration_s=0.0123,
        num_running=2,
        num_waiting=1,
        prefill_tokens=16,
        decode_tokens=decode_tokens,
        joined=["resp_1"],
        left=[],
        kv_blocks_used=3,
        kv_blocks_cached=4,
        kv_blocks_total=1024,
        batch=[("resp_1", "prefill", 16), ("resp_2", "decode", 1)],
    )


def test_a_step_is_shown_in_milliseconds() -> None:
    """Times leave in the wire's unit, the batch as it was."""
    view = step_view(make_step(), str.upper)
    assert view["ms"] == 12.3
    assert view["batch"] == [("RESP_1", "prefill", 16), ("RESP_2", "decode", 1)]
    assert view["joined"] == ["RESP_1"]


def test_an_alias_is_constant_and_tells_nothing() -> None:
    """A watcher can follow a request, and not guess whose it is."""
    alias = make_alias()
    assert alias("resp_1") == alias("resp_1") != alias("resp_2")
    assert "resp" not in alias("resp_1")


async def test_an_idle_engine_shows_itself_once_a_second(app: ASGIApp) -> None:
    """The page sees that the line is alive."""
    call = AsgiCall(app, PATH)
    await asyncio.sleep(3.5)
    assert len(call.events) == 4
    assert call.events[0]["steps"] == []
    assert call.events[0]["kv_blocks_total"] == 1024
    assert call.events[0]["max_num_seqs"] == 64
    await call.hang_up()


async def test_a_busy_engine_shows_its_steps_ten_times_a_second(
    app: ASGIApp, engine: FakeEngine
) -> None:
    """Steps arrive in order, each once, with the token rate."""
    engine.step_s, engine.reply = 0.02, "a" * 100
    call = AsgiCall(app, PATH)
    asking = AsgiCall(app, "/v1/chat/completions", content=chat_body(model="tiny"))
    await asyncio.sleep(1.0)
    assert 8 <= len(call.events) <= 11
    steps = [step["step"] for frame in call.events for step in frame["steps"]]
    assert steps == list(range(1, len(steps) + 1))
    assert 40 < call.events[-1]["tokens_per_second"] < 60
    await asking.hang_up()
    await call.hang_up()


async def test_watching_ends_with_the_key() -> None:
    """It would go on for ever otherwise."""
    state = make_state(FakeEngine(), keys=[("alice", "sk-1"), ("bob", "sk-2")])
    app = build_http_app(state, web_files=PAGE)
    calls = [AsgiCall(app, PATH, headers={"authorization": f"Bearer sk-{n}"}) for n in (1, 2)]
    for call in calls:
        await call.until(1)
    state.auth.replace_keys([plain_key("bob", "sk-2")])
    await calls[0].task
    assert (calls[0].status, calls[1].task.done()) == (200, False)
    await calls[1].hang_up()


async def test_leaving_unsubscribes(state: ServerState, engine: FakeEngine) -> None:
    """While nobody watches, steps cost nothing."""
    view = LiveView(engine)
    watching = view.watch(is_over=lambda: False)
    await anext(watching)
    assert view.num_listeners == 1
    await watching.aclose()
    assert view.num_listeners == 0
    assert not engine._step_listeners


async def test_listeners_are_bounded(app: ASGIApp) -> None:
    """One too many is told to come again."""
    calls = [AsgiCall(app, PATH) for _ in range(MAX_LISTENERS)]
    for call in calls:
        await call.until(1)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get(PATH)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "too_many_listeners")
    for call in calls:
        await call.hang_up()


async def test_a_late_listener_loses_the_oldest(engine: FakeEngine) -> None:
    """The ring holds the newest steps, and counts what it dropped."""
    view = LiveView(engine)
    watching = view.watch(is_over=lambda: False)
    await anext(watching)
    for step in range(RING_STEPS + 3):
        for listener in list(engine._step_listeners):
            listener(make_step(step))
    frame = await anext(watching)
    assert b'"dropped":3' in frame
    assert b'"step":3,' in frame
    assert b'"step":2,' not in frame
    await watching.aclose()


async def test_draining_ends_the_stream(app: ASGIApp, state: ServerState) -> None:
    """A watcher does not keep the server from stopping."""
    call = AsgiCall(app, PATH)
    await call.until(1)
    state.is_draining = True
    await asyncio.wait_for(call.task, 2)


def test_the_frames_clock_is_the_engines() -> None:
    """A page can compare the frame's time with its steps'."""
    listener = LiveListener(100.0)
    listener.push(msgspec.Raw(b"{}"), make_step(time_s=5.0), 101.0)
    assert listener.engine_time(103.0) == 7.0
