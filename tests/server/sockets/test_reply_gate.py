"""A session's replies go through the gate: refused in the wire's words, charged, and settled."""

from __future__ import annotations

import asyncio

import pytest

from server.conversation.prompt import MAX_REPLY_RESERVE
from server.errors import RateLimited
from server.sockets.reply_gate import ReplyGate
from tests.server.sockets.desk import Desk, desk
from tests.support.fake_engine import FakeEngine


def gate_of(one: Desk) -> ReplyGate:
    """As the desk's session sees it."""
    return ReplyGate(one.state, "mio")


def remaining(one: Desk) -> int:
    """Tokens that are left."""
    told = gate_of(one).rate_limits(asyncio.get_running_loop().time())
    assert told is not None
    return told.rate_limits[-1].remaining


async def test_without_limits_there_is_nothing_to_tell() -> None:
    """No event, no refusal."""
    async with desk() as one:
        assert gate_of(one).rate_limits(0) is None
        gate_of(one).check(None, 0)


async def test_a_refusal_is_a_rate_limit_error_that_says_when_to_come_back() -> None:
    """In OpenAI's words."""
    async with desk(limits__requests_per_min=1) as one:
        one.user("hi")
        await one.reply()
        with pytest.raises(RateLimited, match="Please try again in") as refused:
            gate_of(one).check(None, asyncio.get_running_loop().time())
        assert refused.value.code == "rate_limit_exceeded"
        assert refused.value.retry_after_s == pytest.approx(59)


async def test_a_reply_is_reserved_and_then_settled() -> None:
    """While it is written all that it may come to is gone, afterwards only what it was."""
    engine = FakeEngine(reply="Hello there.", step_s=0.01)
    async with desk(engine, limits__tokens_per_min=6000) as one:
        one.user("hi")
        one.replies.start(one.wanted(request_id="r"))
        await asyncio.sleep(0.05)
        num_prompt = len(one.engine.prompts["r"])
        assert 6000 - remaining(one) in range(num_prompt + MAX_REPLY_RESERVE - 6, 6000)
        await asyncio.sleep(0.2)
        assert one.deltas[-1].finish_reason is not None
        spent = 6000 - remaining(one)
        assert spent <= num_prompt + len("Hello there.")
        assert one.state.gate.quotas.num_live == 0


async def test_a_prompt_longer_than_a_minute_allows_is_a_debt() -> None:
    """It is not cut off; the next one waits."""
    async with desk(limits__tokens_per_min=60) as one:
        one.user("hi " * 100)
        await one.reply()
        with pytest.raises(RateLimited, match="tokens per minute"):
            gate_of(one).check(None, asyncio.get_running_loop().time())
        assert not gate_of(one).may_look_ahead(asyncio.get_running_loop().time())


async def test_a_reply_that_cannot_be_made_gives_everything_back() -> None:
    """The engine is gone before it is asked."""
    engine = FakeEngine()
    async with desk(engine, limits__tokens_per_min=6000) as one:
        engine.is_alive = False
        one.user("hi")
        one.replies.start(one.wanted(request_id="r"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(one.failures) == 1
        assert remaining(one) == 6000
        one.state.gate.check_integrity()


async def test_a_reply_that_is_called_off_frees_its_place() -> None:
    """In the queue or under way."""
    async with desk(FakeEngine(reply="la" * 100, step_s=0.01)) as one:
        one.user("hi")
        for name, seconds in (("early", 0.0), ("late", 0.5)):
            one.replies.start(one.wanted(request_id=name))
            await asyncio.sleep(seconds)
            one.replies.abort(name)
        await asyncio.sleep(0.1)
        assert one.state.gate.quotas.num_live == 0
        one.state.gate.check_integrity()


async def test_taking_over_is_not_one_more() -> None:
    """Whoever may have one reply may interrupt it."""
    async with desk(
        FakeEngine(reply="la" * 100, step_s=0.01), limits__max_concurrent_responses=1
    ) as one:
        one.user("hi")
        one.replies.start(one.wanted(request_id="r"))
        now = asyncio.get_running_loop().time()
        with pytest.raises(RateLimited):
            gate_of(one).check(None, now)
        gate_of(one).check(None, now, takes_over=True)
        one.replies.abort("r")
        await asyncio.sleep(0.1)
