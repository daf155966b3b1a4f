"""An engine process that is replaced when it is lost, under requests that go on.

::

    ready ──lost──► close what is left ─► wait (backoff) ─► start ─► let live requests in ─► ready
                          ▲                                  │ failed
                          └──────────── too often: give up ◄─┘

Callers notice a pause. What they submit meanwhile waits, up to the queue's own bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from engine.config import EngineConfig, SupervisionConfig
from engine.engine_client import FrameListener, LossListener, ManagedClient, NewsListener
from engine.errors import EngineDead, EngineError, QueueFull
from engine.outputs import (
    EngineInfo,
    EngineNews,
    EngineStatus,
    LossCause,
    StepFrame,
    TokenOutput,
)
from engine.process_client import ProcessClient
from engine.request import EngineRequest, RequestUpdate
from engine.scheduler.outputs import refusal_of
from engine.supervision.ledger import RequestLedger
from engine.supervision.likeness import differences
from engine.supervision.restart_policy import RestartPolicy
from engine.supervision.watchdog import LOOK_EVERY_S, Watchdog

logger = logging.getLogger(__name__)

DEATH_PATIENCE_S = 10.0
"""For the rest of a lost process to go; one that the kernel holds on to is left behind."""
_RETRY_AFTER_S = 5.0

StartClient = Callable[[], Awaitable[ManagedClient]]


class SupervisedClient:
    """Drives one engine process at a time.

    Args:
        client: The first, ready.
        start: Starts another; raises `EngineError` when that fails.
        config: When an engine is lost, and how often it is started anew.
        max_queued: Requests without a token that may be there while an engine is started.
    """

    def __init__(
        self,
        client: ManagedClient,
        start: StartClient,
        config: SupervisionConfig,
        *,
        max_queued: int,
    ) -> None:
        self._start = start
        self._config = config
        self._max_queued = max_queued
        self._loop = asyncio.get_running_loop()
        self._policy = RestartPolicy(config)
        self._ledger = RequestLedger(max_losses=config.max_losses_per_request)
        self._client: ManagedClient | None = client
        self._dying: ManagedClient | None = None
        self._info = client.info
        self._watchdog = Watchdog(config, full_step_s=client.info.full_step_s)
        self._step_base = self._last_step = 0
        self._recovery: asyncio.Task[None] | None = None
        self._look: asyncio.TimerHandle | None = None
        self._on_frames: FrameListener | None = None
        self._on_lost: LossListener | None = None
        self._on_news: NewsListener | None = None
        self._is_over = False

    @classmethod
    async def start(
        cls, config: EngineConfig, *, on_progress: Callable[[float, str], None] | None = None
    ) -> SupervisedClient:
        """Start an engine process and watch it from then on.

        Args:
            config: What the engine loads, and how it is supervised.
            on_progress: Called with a share of 1 and a phrase while it loads the first time.

        Raises:
            ModelError: The checkpoint cannot be served.
            ConfigError: The settings cannot work.
            EngineDead: The process ended before it was ready; the first start is not repeated.
        """
        first = await ProcessClient.start(config, on_progress=on_progress)
        return cls(
            first,
            lambda: ProcessClient.start(config),
            config.supervision,
            max_queued=config.scheduler.max_num_queued_reqs,
        )

    @property
    def info(self) -> EngineInfo:
        """What the present engine said of itself, or the last one."""
        return self._info

    @property
    def seconds_silent(self) -> float:
        """Since anything was heard of the engine; 0 while it is started anew."""
        return 0.0 if self._client is None else self._client.seconds_silent

    @property
    def process(self) -> ManagedClient | None:
        """The present engine; ``None`` while there is none."""
        return self._client

    def listen(
        self,
        on_frames: FrameListener,
        on_lost: LossListener,
        on_news: NewsListener | None = None,
    ) -> None:
        """Say who hears of frames and of restarts."""
        self._on_frames, self._on_lost, self._on_news = on_frames, on_lost, on_news
        assert self._client is not None
        self._take_over(self._client)

    def submit(self, requests: Sequence[EngineRequest]) -> None:
        """Hand in requests; without an engine they wait, or are refused when too many do.

        Raises:
            EngineDead: It was given up.
        """
        if self._is_over:
            raise EngineDead("the engine is gone; restart the server")
        client = self._client
        if client is not None:
            for request in requests:
                self._ledger.add(request, is_sent=True)
            with contextlib.suppress(EngineDead):  # its loss is about to be told
                client.submit(requests)
            return
        for request in requests:
            num_waiting = self._ledger.num_unanswered
            if num_waiting >= self._max_queued:
                error = QueueFull(num_waiting, self._max_queued, _RETRY_AFTER_S)
                self._tell_later(refusal_of(request, error))
            else:
                self._ledger.add(request, is_sent=False)

    def update(self, updates: Sequence[RequestUpdate]) -> None:
        """Tell news of live requests."""
        now = self._loop.time()
        told = [update for update in updates if self._ledger.update(update, now)]
        if told and self._client is not None:
            self._client.update(told)

    def cancel(self, request_ids: Sequence[str]) -> None:
        """Call requests off; those that no engine has end on the next turn of the loop."""
        told = []
        for request_id in request_ids:
            is_told, ended = self._ledger.cancel(request_id)
            if is_told:
                told.append(request_id)
            if ended is not None:
                self._tell_later(ended)
        if told and self._client is not None:
            self._client.cancel(told)

    def release(self, conversation_ids: Sequence[str]) -> None:
        """Say which conversations will not go on; a new engine has none of them."""
        if self._client is not None:
            self._client.release(conversation_ids)

    async def aclose(self) -> None:
        """End the engine, or its being started."""
        self._is_over = True
        if self._look is not None:
            self._look.cancel()
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        if self._dying is not None:
            await self._bury(self._dying)
        if self._client is not None:
            await self._client.aclose()

    # -- an engine at work

    def _take_over(self, client: ManagedClient) -> None:
        self._client = client
        self._step_base = self._last_step
        self._policy.ready(self._loop.time())
        self._watchdog = Watchdog(self._config, full_step_s=client.info.full_step_s)
        client.listen(
            lambda frames: self._receive(client, frames),
            lambda sentence: self._lose(client, sentence),
        )
        self._look = self._loop.call_later(LOOK_EVERY_S, self._look_at, client)

    def _receive(self, client: ManagedClient, frames: Sequence[StepFrame]) -> None:
        if client is not self._client:
            return  # what a lost engine had still to say is computed again
        assert self._on_frames is not None
        self._on_frames([self._take(frame) for frame in frames])
        if self._ledger.num_held:
            self._let_in(client)

    def _take(self, frame: StepFrame) -> StepFrame:
        frame = self._ledger.take(frame, self._loop.time())
        stats = frame.stats
        if stats is not None:
            if stats.batch:
                self._watchdog.stepped(stats.duration_s)
            self._last_step = self._step_base + stats.step
            if self._step_base:
                stats = msgspec.structs.replace(stats, step=self._last_step)
                frame = StepFrame(frame.outputs, stats)
        return frame

    def _look_at(self, client: ManagedClient) -> None:
        if client is not self._client:
            return
        now = self._loop.time()
        hung = self._watchdog.look(now, client.num_heard, is_idle=client.is_idle)
        if hung is None:
            self._look = self._loop.call_later(LOOK_EVERY_S, self._look_at, client)
        else:
            client.kill()
            self._lose(client, hung, LossCause.HUNG)

    def _let_in(self, client: ManagedClient) -> None:
        with contextlib.suppress(EngineDead):  # its loss is about to be told
            for request, updates in self._ledger.let_in(self._loop.time()):
                client.submit([request])  # one at a time: a frame holds only so much
                if updates:
                    client.update(updates)

    # -- an engine that is lost

    def _lose(
        self, client: ManagedClient, sentence: str, cause: LossCause = LossCause.DIED
    ) -> None:
        if client is not self._client or self._is_over:
            return
        if client.is_broken:
            cause = LossCause.BROKEN
        self._client, self._dying = None, client
        now = self._loop.time()
        delay = self._policy.lost(now)
        if delay is None:
            self._recovery = self._loop.create_task(self._bury(client))
            self._give_up(sentence)
            return
        ended = self._ledger.lose()
        logger.error(
            "the engine was lost (%s): %s; %d requests wait for another",
            cause,
            sentence,
            len(self._ledger),
        )
        self._recovery = self._loop.create_task(self._recover(client, cause, now, delay))
        self._tell_news(EngineNews(EngineStatus.RECOVERING, cause))
        self._tell(ended)

    async def _recover(
        self, lost: ManagedClient, cause: LossCause, began: float, delay: float | None
    ) -> None:
        await self._bury(lost)
        client: ManagedClient | None = None
        sentence = ""
        while client is None and delay is not None:
            await asyncio.sleep(delay)
            try:
                client = await self._start()
            except Exception as error:
                what = error.message if isinstance(error, EngineError) else type(error).__name__
                sentence = f"the engine could not be started anew: {what}"
                logger.error("%s", sentence)
                delay = self._policy.lost(self._loop.time())
        if client is not None and (changed := differences(self._info, client.info)):
            sentence = f"the engine came back with another {', '.join(changed)}"
            await client.aclose()
            client = None
        if client is None:
            self._give_up(sentence)
            return
        self._info = client.info
        self._take_over(client)
        self._let_in(client)
        recovery_s = self._loop.time() - began
        logger.warning("the engine is back after %.1f s", recovery_s)
        self._tell_news(EngineNews(EngineStatus.READY, cause, recovery_s))

    async def _bury(self, lost: ManagedClient) -> None:
        """See to it that nothing is left of a process: it may hold the device's memory."""
        lost.kill()
        try:
            async with asyncio.timeout(DEATH_PATIENCE_S):
                await lost.aclose()
        except TimeoutError:
            logger.error("the lost engine is still there after %.0f s", DEATH_PATIENCE_S)
        self._dying = None

    def _give_up(self, sentence: str) -> None:
        self._is_over = True
        assert self._on_lost is not None
        self._on_lost(
            f"{sentence}; {self._policy.num_recent} losses within "
            f"{self._config.restart_window_s:.0f} s: it is given up"
        )

    # -- what callers are told

    def _tell_news(self, news: EngineNews) -> None:
        if self._on_news is not None:
            self._on_news(news)

    def _tell(self, outputs: list[TokenOutput]) -> None:
        assert self._on_frames is not None, "listen() comes before submit()"
        if outputs and not self._is_over:
            self._on_frames([StepFrame(outputs)])

    def _tell_later(self, output: TokenOutput) -> None:
        self._loop.call_soon(self._tell, [output])
