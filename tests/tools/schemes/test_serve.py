"""The trace, played to a scheme."""

from __future__ import annotations

import asyncio
import time

import pytest

from tools.bench.schemes.__main__ import serve
from tools.bench.schemes.plan import Ask
from tools.bench.schemes.ways import Reply


class Counting:
    """Answers at once, and remembers."""

    def __init__(self, missing: int = 0) -> None:
        self.expected = 0
        self.order: list[int] = []
        self._missing = missing

    def expect(self, count: int) -> None:
        self.expected = count

    async def reply(self, ask: Ask) -> Reply:
        self.order.append(ask.output_tokens)
        await asyncio.sleep(0)
        return Reply(ask.output_tokens - self._missing, time.perf_counter())

    async def warm(self) -> None:
        """Nothing to warm."""

    async def aclose(self) -> None:
        """Nothing to close."""


ASKS = [Ask(0.02, (1, 2), 5), Ask(0.0, (1,), 3), Ask(0.01, (1,), 4)]


@pytest.mark.wire(only="uvloop")
async def test_requests_arrive_when_the_trace_says() -> None:
    """And count from then."""
    way = Counting()
    served = await serve(way, ASKS)
    assert way.order == [3, 4, 5]
    assert way.expected == 3
    assert [one.tokens for one in served] == [5, 3, 4]
    for ask, one in zip(ASKS, served, strict=True):
        assert one.start_s == ask.start_s <= one.first_s <= one.end_s


@pytest.mark.wire(only="uvloop")
async def test_a_reply_that_is_too_short_is_an_error() -> None:
    """Not a better figure."""
    with pytest.raises(ExceptionGroup) as caught:
        await serve(Counting(missing=1), ASKS)
    assert caught.group_contains(RuntimeError, match="has . of . tokens")
