"""Work beside the loop has an end to its queue and to its time."""

from __future__ import annotations

import asyncio
import threading

import pytest

from server import prompt_threads
from server.errors import RateLimited
from server.prompt_threads import MAX_PROMPT_THREADS, PromptThreads

pytestmark = [pytest.mark.wire(only="uvloop")]  # threads know no virtual clock


async def test_work_is_done_in_a_thread() -> None:
    """And its result and its errors come back."""
    threads = PromptThreads()
    assert await threads.run(threading.current_thread) is not threading.main_thread()
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    assert threads.num_waiting == 0


async def test_the_line_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is told to come back, and those in line are served."""
    monkeypatch.setattr(prompt_threads, "MAX_WAITING", 4)
    threads, gate = PromptThreads(), threading.Event()
    tasks = [asyncio.create_task(threads.run(gate.wait)) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited, match="4 long prompts") as refused:
        await threads.run(gate.wait)
    assert refused.value.code == "server_overloaded"
    gate.set()
    assert await asyncio.gather(*tasks) == [True] * 4


async def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What still waits for a thread then is never begun."""
    monkeypatch.setattr(prompt_threads, "MAX_WAIT_S", 0.01)
    threads, gate, begun = PromptThreads(), threading.Event(), threading.Event()
    held = [threads.submit(gate.wait) for _ in range(MAX_PROMPT_THREADS)]
    with pytest.raises(RateLimited, match="within"):
        await threads.run(begun.set)
    gate.set()
    assert all(one.result() for one in held)
    threads.shutdown(wait=True)
    assert not begun.is_set()
    assert threads.num_waiting == 0
