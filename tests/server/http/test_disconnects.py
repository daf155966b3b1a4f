"""Work that ends when its client leaves."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from server.http.disconnects import ClientGone, run_while_connected


async def stay() -> Message:
    """A client that waits for its answer."""
    await asyncio.Event().wait()
    raise AssertionError("never")


async def leave() -> Message:
    """A client that hangs up after a second."""
    await asyncio.sleep(1)
    return {"type": "http.disconnect"}


async def test_a_patient_client_gets_the_result() -> None:
    """What the work returns is returned."""

    async def work() -> str:
        return "done"

    assert await run_while_connected(stay, work()) == "done"


async def test_an_error_of_the_work_comes_out() -> None:
    """As if it had been awaited in place."""

    async def work() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await run_while_connected(stay, work())


async def test_the_work_has_ended_when_the_client_is_gone() -> None:
    """Its ``finally`` has run, however long that took."""
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(1)
            ended.append(True)

    with pytest.raises(ClientGone):
        await run_while_connected(leave, work())
    assert ended


async def test_calling_off_the_caller_calls_off_the_work() -> None:
    """A server that stops leaves nothing running."""
    work_ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            work_ended.set()

    caller = asyncio.ensure_future(run_while_connected(stay, work()))
    await asyncio.sleep(1)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert work_ended.is_set()
