"""Composition root: builds the rooms, serves until told to stop, drains, and says how it went.

::

    open the door ─► load the engine ─► ready, serve ─► drain ─► close all ─► stop the engine
      /livez 200       /readyz 503        200           503      1012, bounded

The door opens first, so that a taken port is told in the first second and probes are answered while
the model loads. Whatever happens, the end is bounded: replies get the drain timeout, sockets the
close timeout, and then everybody is cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Protocol

from engine.config import EngineConfig
from engine.outputs import EngineNews, EngineStatus
from engine.progress import LoadProgress
from server.config.settings import ServerSettings
from server.engine_port import EnginePort
from server.errors import ErrorType, ProtocolError
from server.http.admin import build_admin_app
from server.http.app import build_http_app
from server.log_lines import log_line
from server.notify import Notifier, Watchdog
from server.protocol.close_codes import CloseCode
from server.reload import certificate_of, keys_of, reloading
from server.sockets.admin_door import AdminDoor
from server.sockets.front_door import FrontDoor
from server.sockets.roster import RESTARTS, Roster
from server.speech.visemes import warm_up
from server.startup import build_state, tell_of_little_room
from server.state import PROGRESS_TIMEOUT_S, ServerState
from server.stop_signal import StopSignal, signals
from server.tracing import start_tracing

logger = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_ENGINE_LOST = 70
"""The engine is gone for good; whoever supervises the process should start it anew."""

ENGINE_CLOSE_TIMEOUT_S = 10.0
_DRAIN_POLL_S = 0.05


class RunningEngine(EnginePort, Protocol):
    """An engine that can be stopped."""

    async def aclose(self) -> None:
        """End it."""
        ...


StartEngine = Callable[[EngineConfig, LoadProgress], Awaitable[RunningEngine]]


async def start_engine(config: EngineConfig, progress: LoadProgress) -> RunningEngine:
    """Start the real engine in its own process."""
    from engine.async_engine import AsyncEngine  # pulls in the tokenizer; not needed by tests

    return await AsyncEngine.start(config, on_progress=progress)


async def serve(
    settings: ServerSettings,
    *,
    start: StartEngine = start_engine,
    stop: StopSignal | None = None,
    on_ready: Callable[[str], None] | None = None,
    notifier: Notifier | None = None,
) -> int:
    """Serve until told to stop.

    Args:
        settings: Complete.
        start: Starts the engine.
        stop: Tells to stop, beside the signals SIGTERM and SIGINT.
        on_ready: Called with the URL once it can answer; prints the ready line when left out.
        notifier: Tells systemd; whom the environment names when left out.

    Returns:
        The exit code.

    Raises:
        EngineError: It cannot start: settings, model, characters, port.
    """
    state = build_state(settings)
    roster = Roster(state)
    door = FrontDoor(state, build_http_app(state), roster.serve)
    reloadable = [*keys_of(state), *certificate_of(settings.listen, door.renew_certificate)]
    stop, notifier = stop or StopSignal(), notifier or Notifier()
    await door.open()
    with signals(stop):
        try:
            if state.store is not None:
                await state.store.start()
            async with (
                reloading(reloadable, settings.auth.reload_interval_s),
                _numbers(state),
                _engine(state, start, stop) as engine,
            ):
                if engine is None:
                    return EXIT_OK
                (on_ready or _settle_and_print)(door.url)
                notifier.ready(f"{state.catalog.engine_name} at {door.url}")
                engine.add_status_listener(roster.tell_of_engine)
                watch = asyncio.create_task(_watch(state, roster, engine, Watchdog(notifier)))
                try:
                    await _wait_until_told(stop, watch)
                    notifier.stopping("sending everybody home")
                    return await _finish(state, roster, engine, stop, watch)
                finally:
                    state.is_draining = True
                    await _send_home(state, roster, door, stop)
                    watch.cancel()
        finally:
            await door.close(CloseCode.SERVICE_RESTART, "The server stops.", patience_s=0.0)
            if state.store is not None:
                await state.store.aclose()
            if state.recorder is not None:
                await asyncio.to_thread(state.recorder.close)
            state.prompt_threads.shutdown(wait=False, cancel_futures=True)


@contextlib.asynccontextmanager
async def _numbers(state: ServerState) -> AsyncIterator[None]:
    """Open the admin port and send spans, where the settings ask for them."""
    settings = state.settings
    tracing = start_tracing(settings.tracing, state.catalog.engine_name)
    admin = None
    if settings.listen.admin_port is not None:
        admin = AdminDoor(settings.listen, build_admin_app(state))
        await admin.open()
        log_line(logger, "admin port", host=settings.listen.admin_host, port=admin.port)
    if tracing is not None:
        state.metrics.on_response = tracing.tracer
    try:
        yield
    finally:
        if admin is not None:
            admin.close()
        if tracing is not None:
            await asyncio.to_thread(tracing.close)


@contextlib.asynccontextmanager
async def _engine(
    state: ServerState, start: StartEngine, stop: StopSignal
) -> AsyncIterator[RunningEngine | None]:
    """Load the engine into the state; ``None`` when it was told to stop meanwhile."""
    engine = await _load(state, start, stop)
    if engine is None:
        yield None
        return
    state.metrics.describe_engine(engine.info)
    state.gate.describe_engine(engine.info)
    tell_of_little_room(state.catalog, engine)
    subscriptions = contextlib.ExitStack()
    subscriptions.callback(engine.add_step_listener(state.metrics.on_step))
    subscriptions.callback(engine.add_step_listener(state.gate.on_step))
    subscriptions.callback(engine.add_status_listener(partial(_on_engine_news, state, engine)))
    state.engine = engine
    try:
        yield engine
    finally:
        subscriptions.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENGINE_CLOSE_TIMEOUT_S):
                await engine.aclose()


def _on_engine_news(state: ServerState, engine: EnginePort, news: EngineNews) -> None:
    state.metrics.on_engine_news(news)
    if news.status is EngineStatus.READY:
        state.metrics.describe_engine(engine.info)  # its KV budget may be another
        state.gate.describe_engine(engine.info)
    elif news.status is EngineStatus.LOST:
        state.engine_lost.set()


async def _load(state: ServerState, start: StartEngine, stop: StopSignal) -> RunningEngine | None:
    with LoadProgress() as progress:
        # the first reply would wait for them
        dictionaries = asyncio.create_task(asyncio.to_thread(warm_up))
        loading = asyncio.ensure_future(start(state.settings.engine, progress))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((loading, stopping), return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            stopping.cancel()
            await dictionaries
            return loading.result()
        loading.cancel()
        # Bounded: an engine that does not let itself be called off dies with this process.
        await asyncio.wait((loading,), timeout=ENGINE_CLOSE_TIMEOUT_S)
        return None


async def _wait_until_told(stop: StopSignal, watch: asyncio.Task[None]) -> None:
    """Return when somebody asks for the end, or the engine is lost."""
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((stopping, watch), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()


async def _finish(
    state: ServerState,
    roster: Roster,
    engine: RunningEngine,
    stop: StopSignal,
    watch: asyncio.Task[None],
) -> int:
    """Let finish what can be finished; returns the exit code."""
    if watch.done() and not stop.is_asked:
        watch.result()
        logger.critical("the engine is gone for good; leaving with exit code %d", EXIT_ENGINE_LOST)
        return EXIT_ENGINE_LOST
    await _drain(state, roster, engine, stop)
    return EXIT_OK if engine.health().alive else EXIT_ENGINE_LOST


async def _drain(
    state: ServerState, roster: Roster, engine: RunningEngine, stop: StopSignal
) -> None:
    """Refuse what is new and let finish what runs, for as long as the settings say."""
    state.is_draining = True
    timeout = state.settings.drain.timeout_s
    busy = _busy(roster, engine)
    log_line(logger, "draining", timeout_s=timeout, sessions=len(roster), replies=busy)
    roster.go_away(timeout)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while loop.time() < deadline:
        if not _busy(roster, engine) or stop.is_hurried or not engine.health().alive:
            return
        await asyncio.sleep(_DRAIN_POLL_S)


def _busy(roster: Roster, engine: RunningEngine) -> int:
    return max(roster.num_replies, engine.health().num_live_requests)


async def _send_home(state: ServerState, roster: Roster, door: FrontDoor, stop: StopSignal) -> None:
    if state.engine is not None:
        for request_id in list(state.completions):  # each tells its client that it was called off
            state.engine.cancel(request_id)
    error = ProtocolError(
        "server_draining",
        "the server restarts and could not finish this reply; reconnect and ask again",
        type=ErrorType.SERVER,
    )
    await roster.close_all(
        CloseCode.SERVICE_RESTART, RESTARTS, error, is_hurried=lambda: stop.is_hurried
    )
    patience = 0.0 if stop.is_hurried else None
    await door.close(CloseCode.SERVICE_RESTART, RESTARTS, patience_s=patience)


async def _watch(
    state: ServerState, roster: Roster, engine: RunningEngine, watchdog: Watchdog
) -> None:
    """Look at every reader and at the loop itself; returns when the engine is lost."""
    loop = asyncio.get_running_loop()
    interval = state.settings.outbox.watch_interval_s
    while engine.health().alive:
        due = loop.time() + interval
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(state.engine_lost.wait(), interval)
            state.engine_lost.clear()
        now = loop.time()
        state.metrics.loop_lag.observe(max(0.0, now - due))
        roster.watch(now)
        roster.recheck(time.time())
        idle_s = engine.health().seconds_since_progress
        status = f"{len(roster)} sessions, {roster.num_replies} replies"
        watchdog.look(now, status, makes_progress=idle_s <= PROGRESS_TIMEOUT_S)


def settle() -> None:
    """Have the collector leave alone what is alive now, and look less often at what comes.

    Everything alive at the start stays alive, and most of what a token makes is gone with the next
    one: at the usual thresholds collections took 7 to 11 % of a fan-out to 256 streams. Ended
    sessions are cycles, and wait for the oldest generation's turn: it comes with every 250,000
    objects that have stayed.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 5)


def _settle_and_print(url: str) -> None:
    settle()
    with contextlib.suppress(BrokenPipeError):  # whoever started us is gone, and reads no line
        sys.stdout.write(f"ready {url}\n")
        sys.stdout.flush()
