"""The one request whose prompt is not whole yet."""

from __future__ import annotations

import asyncio

from engine.outputs import RequestDelta
from engine.request import FinishReason, Service
from engine.sampling_params import SamplingParams
from server.sockets.prefill import MIN_TOKENS, Prefill
from tests.support.fake_engine import FakeEngine

PARAMS = SamplingParams()
SERVICE = Service(tenant="mio")
IDS = list(range(100, 164))


def make(engine: FakeEngine) -> tuple[Prefill, list[RequestDelta]]:
    """One, and what is heard of it."""
    deltas: list[RequestDelta] = []
    return Prefill(engine, "sess_1", deltas.append), deltas


async def test_it_grows_by_what_is_worth_a_step() -> None:
    """Less waits until there is more."""
    engine = FakeEngine()
    prefill, _ = make(engine)
    prefill.offer(IDS[:20], PARAMS, SERVICE)
    prefill.offer(IDS[: 20 + MIN_TOKENS - 1], PARAMS, SERVICE)
    assert engine.prompts["sess_1-ahead-1"] == IDS[:20]
    prefill.offer(IDS[: 20 + MIN_TOKENS], PARAMS, SERVICE)
    assert engine.prompts["sess_1-ahead-1"] == IDS[: 20 + MIN_TOKENS]
    prefill.drop()


async def test_it_becomes_a_replys_own_under_the_replys_name() -> None:
    """With the rest of the prompt and the reply's parameters; then there is none any more."""
    engine = FakeEngine(reply="Hi")
    prefill, deltas = make(engine)
    prefill.offer(IDS[:20], PARAMS, SERVICE)
    params = SamplingParams(max_tokens=7)
    assert prefill.take("resp_1", IDS, params, SERVICE) == "sess_1-ahead-1"
    assert prefill.take("resp_2", IDS, params, SERVICE) is None
    await asyncio.sleep(1)
    assert engine.prompts["sess_1-ahead-1"] == IDS
    assert engine.params["sess_1-ahead-1"] == params
    assert {delta.request_id for delta in deltas} == {"resp_1"}
    assert "".join(delta.text for delta in deltas) == "Hi"
    assert deltas[-1].finish_reason is FinishReason.STOP


async def test_what_does_not_fit_is_called_off() -> None:
    """Another beginning, nothing left to append, or another way to be served."""
    others = [
        ([1, *IDS], SERVICE),
        (IDS[:20], SERVICE),
        (IDS, Service(tenant="other")),
        (IDS, Service(tenant="mio", priority=1)),
    ]
    for ids, service in others:
        engine = FakeEngine()
        prefill, deltas = make(engine)
        prefill.offer(IDS[:20], PARAMS, SERVICE)
        assert prefill.take("resp_1", ids, PARAMS, service) is None
        assert engine.cancelled == ["sess_1-ahead-1"]
        await asyncio.sleep(1)
        assert deltas == []


async def test_without_an_engine_nothing_is_prepared() -> None:
    """The reply itself will be told."""
    prefill, _ = make(FakeEngine(is_alive=False))
    prefill.offer(IDS, PARAMS, SERVICE)
    assert prefill.take("resp_1", IDS, PARAMS, SERVICE) is None
