"""The four verbs by which a front end drives an engine, and the engine in the same process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

from engine.core import EngineCore
from engine.outputs import EngineInfo, EngineNews, StepFrame
from engine.request import EngineRequest, RequestUpdate

FrameListener = Callable[[Sequence[StepFrame]], None]
"""Hears of the steps that have come in one piece, oldest first: one, unless the loop is behind."""
LossListener = Callable[[str], None]
NewsListener = Callable[[EngineNews], None]


class EngineClient(Protocol):
    """Submit a batch, cancel a batch, one stream of frames, and whether it lives.

    Frames arrive on the event loop through ``on_frames``; ``on_lost`` is called at most once, with
    a sentence, when the engine is gone.
    """

    @property
    def info(self) -> EngineInfo:
        """What the engine said of itself."""
        ...

    @property
    def seconds_silent(self) -> float:
        """Since anything was heard of the engine."""
        ...

    def listen(
        self,
        on_frames: FrameListener,
        on_lost: LossListener,
        on_news: NewsListener | None = None,
    ) -> None:
        """Say who hears of frames; called once, before anything is submitted.

        Args:
            on_frames: Hears of each step.
            on_lost: Hears when the engine is gone for good.
            on_news: Hears of restarts, where the engine can be restarted.
        """
        ...

    def submit(self, requests: Sequence[EngineRequest]) -> None:
        """Hand in requests."""
        ...

    def update(self, updates: Sequence[RequestUpdate]) -> None:
        """Tell news of live requests; nothing happens when the engine is gone."""
        ...

    def cancel(self, request_ids: Sequence[str]) -> None:
        """Call requests off; nothing happens when the engine is gone."""
        ...

    def release(self, conversation_ids: Sequence[str]) -> None:
        """Say which conversations will not go on; nothing happens when the engine is gone."""
        ...

    async def aclose(self) -> None:
        """End the engine; nothing more arrives."""
        ...


class ManagedClient(EngineClient, Protocol):
    """An engine client that can be watched and killed; `ProcessClient` is one."""

    @property
    def num_heard(self) -> int:
        """Messages that the engine has sent so far."""
        ...

    @property
    def is_idle(self) -> bool:
        """Whether it said so last, and was sent nothing since."""
        ...

    @property
    def is_broken(self) -> bool:
        """Whether it said that it cannot go on."""
        ...

    def kill(self) -> None:
        """End the process at once; ``aclose`` is to follow."""
        ...


class InProcessClient:
    """Steps a core on the event loop, one step per turn of the loop: for tests and notebooks."""

    def __init__(self, core: EngineCore) -> None:
        self._core = core
        self._on_frames: FrameListener | None = None
        self._on_lost: LossListener | None = None
        self._stepping: asyncio.Handle | None = None
        self._closed = False

    @property
    def info(self) -> EngineInfo:
        """What the engine said of itself."""
        return self._core.info

    @property
    def seconds_silent(self) -> float:
        """Never: it runs on this loop."""
        return 0.0

    @property
    def core(self) -> EngineCore:
        """The core itself, for looking into."""
        return self._core

    def listen(
        self,
        on_frames: FrameListener,
        on_lost: LossListener,
        on_news: NewsListener | None = None,
    ) -> None:
        """Say who hears of frames; it is never restarted."""
        self._on_frames = on_frames
        self._on_lost = on_lost

    def submit(self, requests: Sequence[EngineRequest]) -> None:
        """Hand in requests; refusals are told on the next turn of the loop."""
        self._hear_of_grammars()
        self._tell_later(self._core.submit(requests))

    def update(self, updates: Sequence[RequestUpdate]) -> None:
        """Tell news of live requests; what that ends is told on the next turn of the loop."""
        self._hear_of_grammars()
        self._tell_later(self._core.update(updates))

    def cancel(self, request_ids: Sequence[str]) -> None:
        """Call requests off; their ends are told on the next turn of the loop."""
        self._tell_later(self._core.cancel(request_ids))

    def release(self, conversation_ids: Sequence[str]) -> None:
        """Say which conversations will not go on."""
        self._core.release(conversation_ids)

    async def aclose(self) -> None:
        """Stop stepping."""
        self._closed = True
        if self._stepping is not None:
            self._stepping.cancel()

    def _hear_of_grammars(self) -> None:
        if self._core.gate is not None:
            loop = asyncio.get_running_loop()
            self._core.gate.when_ready(lambda: self._wake(loop))

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Go on stepping; called in another thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._tell_later, StepFrame([]))

    def _tell_later(self, frame: StepFrame) -> None:
        loop = asyncio.get_running_loop()
        if frame.outputs:
            loop.call_soon(self._tell, frame)
        if self._core.has_work and self._stepping is None:
            self._stepping = loop.call_soon(self._step)

    def _step(self) -> None:
        self._stepping = None
        if self._closed or not self._core.has_work:
            return
        try:
            frame = self._core.step()
        except Exception as error:
            self._closed = True
            assert self._on_lost is not None
            self._on_lost(f"a step failed: {type(error).__name__}")
            raise
        if self._core.is_broken:
            self._closed = True
            self._tell(frame, even_if_closed=True)
            assert self._on_lost is not None
            self._on_lost("every step fails; see the log")
            return
        if self._core.has_work:
            self._stepping = asyncio.get_running_loop().call_soon(self._step)
        if frame.outputs or frame.stats is not None:
            self._tell(frame)

    def _tell(self, frame: StepFrame, *, even_if_closed: bool = False) -> None:
        assert self._on_frames is not None, "listen() comes before submit()"
        if even_if_closed or not self._closed:
            self._on_frames([frame])
