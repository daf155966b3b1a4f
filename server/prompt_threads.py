"""A few threads beside the event loop for long prompts, with an end to the queue and to patience.

The tokenizer lets go of the interpreter while it works (``engine.plain_text``), so that steps and
sockets go on meanwhile. A prompt that is being worked on cannot be called off; what bounds it is
its length, because tokenising takes time in proportion to it: about a microsecond per character.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from server.errors import RateLimited

MAX_PROMPT_THREADS = 2
"""Long prompts that are tokenised at once; the others wait, and the steps keep their processors."""

MAX_WAITING = 256
"""Long prompts in line; with each as long as can be that is minutes of work."""

MAX_WAIT_S = 30.0
"""Seconds in line and at work, together."""

RETRY_AFTER_S = 2.0

T = TypeVar("T")


class PromptThreads(ThreadPoolExecutor):
    """The threads of one server."""

    def __init__(self) -> None:
        """Start none yet."""
        super().__init__(MAX_PROMPT_THREADS, thread_name_prefix="prompt")
        self.num_waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Do something in a thread.

        Args:
            work: Pure computation.

        Raises:
            RateLimited: Too many others wait for it, or it took too long.
        """
        if self.num_waiting >= MAX_WAITING:
            raise _busy(f"{self.num_waiting} long prompts are being read already")
        self.num_waiting += 1
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                return await asyncio.get_running_loop().run_in_executor(self, work)
        except TimeoutError:
            raise _busy(f"this prompt was not read within {MAX_WAIT_S:g} s") from None
        finally:
            self.num_waiting -= 1


def _busy(why: str) -> RateLimited:
    return RateLimited(
        "server_overloaded",
        f"the server is busy: {why}. Please try again in {RETRY_AFTER_S:g}s.",
        retry_after_s=RETRY_AFTER_S,
    )
