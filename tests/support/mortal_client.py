"""An engine process without a process: a scripted core on the loop's clock that dies when told to.

It speaks as the real one does: a frame per step, a heartbeat each idle second, nothing while it
hangs. ``Nursery`` starts one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from engine.core import EngineCore
from engine.engine_client import FrameListener, LossListener, NewsListener
from engine.errors import EngineDead, EngineError
from engine.outputs import EngineInfo, StepFrame
from engine.request import EngineRequest, RequestUpdate
from tests.support.scripted_model import scripted_core

HEARTBEAT_S = 1.0


class MortalClient:
    """One engine.

    Args:
        core: Is stepped.
        step_s: Loop seconds that a step takes.

    Attributes:
        submitted: What it was handed, in order.
        updates: What it was told, in order.
        released: Conversations that will not go on.
        is_frozen: Says nothing and takes nothing, like a stopped process.
        dies_of: Called with the ids in the engine before each step; it dies where that is true.
        was_killed: Somebody ended it.
        is_closed: ``aclose`` has returned.
    """

    def __init__(self, core: EngineCore, *, step_s: float = 0.01) -> None:
        self.core = core
        self.submitted: list[EngineRequest] = []
        self.updates: list[RequestUpdate] = []
        self.released: list[str] = []
        self.is_frozen = False
        self.dies_of: Callable[[set[str]], bool] = lambda ids: False
        self.was_killed = False
        self.is_closed = False
        self.num_heard = 1
        self.is_idle = False
        self.is_broken = False
        self._step_s = step_s
        self._is_dead = False
        self._inside: set[str] = set()
        self._loop = asyncio.get_running_loop()
        self._last_heard = self._loop.time()
        self._timer = self._loop.call_later(0, self._turn)
        self._on_frames: FrameListener | None = None
        self._on_lost: LossListener | None = None

    @property
    def info(self) -> EngineInfo:
        """The core's."""
        return self.core.info

    @property
    def seconds_silent(self) -> float:
        """Since its last frame or heartbeat."""
        return self._loop.time() - self._last_heard

    def listen(
        self,
        on_frames: FrameListener,
        on_lost: LossListener,
        on_news: NewsListener | None = None,
    ) -> None:
        """Say who hears."""
        self._on_frames, self._on_lost = on_frames, on_lost

    def submit(self, requests: Sequence[EngineRequest]) -> None:
        """Take requests."""
        if self._is_dead:
            raise EngineDead("dead")
        self.submitted += requests
        self._inside |= {request.request_id for request in requests}
        self._obey(lambda: self.core.submit(requests))

    def update(self, updates: Sequence[RequestUpdate]) -> None:
        """Take news."""
        self.updates += updates
        self._obey(lambda: self.core.update(updates))

    def cancel(self, request_ids: Sequence[str]) -> None:
        """Abort."""
        self._obey(lambda: self.core.cancel(request_ids))

    def release(self, conversation_ids: Sequence[str]) -> None:
        """Take note."""
        self.released += conversation_ids

    def kill(self) -> None:
        """End it, frozen or not."""
        self.was_killed = True
        self.die()

    def die(self, sentence: str = "the engine process ended by signal SIGKILL") -> None:
        """End; its loss is told on the next turn of the loop."""
        if not self._is_dead:
            self._is_dead = True
            self._timer.cancel()
            if self._on_lost is not None:
                self._loop.call_soon(self._on_lost, sentence)

    def give_up(self) -> None:
        """Say that it cannot go on, as one does whose device is broken."""
        self.is_broken = True
        self.die("every step fails; see the log")

    async def aclose(self) -> None:
        """End, after a turn of the loop."""
        self._is_dead = True
        self._timer.cancel()
        await asyncio.sleep(0)
        self.is_closed = True

    def _obey(self, command: Callable[[], StepFrame]) -> None:
        if self._is_dead or self.is_frozen:
            return
        frame = command()
        self.is_idle = False
        if frame.outputs:
            self._loop.call_soon(self._say, frame)
        self._timer.cancel()
        self._timer = self._loop.call_later(self._step_s, self._turn)

    def _turn(self) -> None:
        if self._is_dead:
            return
        if self.is_frozen:
            self._timer = self._loop.call_later(HEARTBEAT_S, self._turn)
        elif not self.core.has_work:
            self._hear()
            self.is_idle = True
            self._timer = self._loop.call_later(HEARTBEAT_S, self._turn)
        elif self.dies_of(self._inside):
            self.die()
        else:
            self._timer = self._loop.call_later(self._step_s, self._turn)
            self._say(self.core.step())

    def _say(self, frame: StepFrame) -> None:
        ended = {output.request_id for output in frame.outputs if output.finish_reason}
        self._inside -= ended
        self._hear()
        if self._on_frames is not None and not self._is_dead:
            self._on_frames([frame])

    def _hear(self) -> None:
        self.num_heard += 1
        self._last_heard = self._loop.time()


class Nursery:
    """Starts engines, each with memory and cache of its own.

    Args:
        make_core: Makes the core of each.
        start_s: Loop seconds that loading takes.

    Attributes:
        born: Every engine so far.
        fail_next: Raised by so many of the next starts, one each.
        dies_of: What each of them dies of.
    """

    def __init__(
        self, make_core: Callable[[], EngineCore] = scripted_core, *, start_s: float = 1.0
    ) -> None:
        self._make_core = make_core
        self._start_s = start_s
        self.born: list[MortalClient] = []
        self.fail_next: list[EngineError] = []
        self.dies_of: Callable[[set[str]], bool] = lambda ids: False

    @property
    def last(self) -> MortalClient:
        """The youngest."""
        return self.born[-1]

    async def start(self) -> MortalClient:
        """Start one.

        Raises:
            EngineError: The next of ``fail_next``.
        """
        await asyncio.sleep(self._start_s)
        if self.fail_next:
            raise self.fail_next.pop(0)
        client = MortalClient(self._make_core())
        client.dies_of = lambda ids: self.dies_of(ids)
        self.born.append(client)
        return client
