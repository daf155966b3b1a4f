"""Carries out what one session wants of the engine: prompt, submission, deltas, one log line.

A prompt is built on the event loop when it is short and in a thread when it is long. A cancel that
arrives meanwhile wins: the request is then never submitted. Whatever happens, each reply gets one
watch, and each watch ends in one line.

Of the session's conversation it keeps the tokens that the model has read and said, and builds the
next prompt behind them. Replies beside the conversation begin from nothing and leave nothing. What
is done for a later turn is ``server.sockets.look_ahead``'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from engine.errors import EngineError
from engine.outputs import RequestDelta
from engine.request import FinishReason
from server.conversation.memory import Recollection
from server.engine_port import EnginePort
from server.errors import ServerError
from server.log_lines import bare, log_line
from server.response_watch import ResponseWatch
from server.session.effects import Compact, Generate, Prepare
from server.sockets.look_ahead import AheadListener, LookAhead
from server.sockets.prompt_maker import PromptMaker
from server.sockets.working_memory import WorkingMemory
from server.state import ServerState

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReplyListener:
    """Where news of replies goes.

    Attributes:
        on_delta: What one step brought.
        on_failure: The request could not be made; called from the loop, never from ``start``.
        on_compacted: The conversation's tokens before and after its oldest turns were left out.
        on_read: How many of the user's newest messages the next prompt will surely hold.
        on_summarised: The new summary of what was left out, then as for ``on_compacted``.
    """

    on_delta: Callable[[RequestDelta], None]
    on_failure: Callable[[str, Exception], None]
    on_compacted: Callable[[int, int], None] = lambda before, after: None
    on_read: Callable[[int], None] = lambda num_turns: None
    on_summarised: Callable[[str, int, int], None] = lambda summary, before, after: None


@dataclass(slots=True)
class _Running:
    """A reply that has not ended.

    Attributes:
        watch: What becomes of it.
        engine_id: Its name at the engine.
        num_chars: Code points of its text so far.
        num_wide_chars: Those of deltas that are not all ASCII.
    """

    watch: ResponseWatch
    engine_id: str
    num_chars: int = 0
    num_wide_chars: int = 0


class Replies:
    """The requests of one session that have not ended, and what its model remembers."""

    def __init__(
        self, state: ServerState, engine: EnginePort, session_id: str, listener: ReplyListener
    ) -> None:
        """Start with none.

        Args:
            state: Shared with every room.
            engine: Who writes.
            session_id: For the log.
            listener: Where news goes.
        """
        self._state = state
        self._engine = engine
        self._session_id = session_id
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._running: dict[str, _Running] = {}
        self._building: dict[str, asyncio.Task[None]] = {}
        self._conversations: set[str] = set()
        self._maker = PromptMaker(state, engine)
        self._memory = WorkingMemory(listener.on_read)
        self._ahead = LookAhead(
            state,
            engine,
            session_id,
            self._memory,
            self._maker,
            AheadListener(self._on_delta, listener.on_compacted, listener.on_summarised),
        )
        self.num_started = 0

    def __len__(self) -> int:
        return len(self._running)

    def start(self, effect: Generate) -> None:
        """Build the prompt and submit, at once or soon."""
        self.num_started += 1
        self._ahead.stop()
        watch = ResponseWatch(self._state.metrics, self._loop.time())
        self._running[effect.request_id] = _Running(watch, effect.request_id)
        memory, reply_ids = self._memory.memory, self._memory.reply_ids()
        work = partial(self._maker.build, effect, memory, reply_ids)
        if self._maker.is_long(effect):
            task = self._loop.create_task(self._start_in_thread(effect, work))
            self._building[effect.request_id] = task
            return
        try:
            self._submit(effect, work())
        except Exception as error:
            self._loop.call_soon(self._fail, effect.request_id, error)

    def prepare(self, effect: Prepare) -> None:
        """Have what is certain of the next prompt computed, unless a reply is asked for first."""
        self._conversations.add(effect.generate.conversation_id)
        self._ahead.prepare(effect)

    def compact(self, effect: Compact) -> None:
        """Make what the model remembers shorter, in the background; see ``LookAhead.compact``."""
        self._ahead.compact(effect)

    def discard(self) -> None:
        """Give up what was prepared."""
        self._ahead.discard()

    def report_playback(self, request_id: str, num_chars: int) -> None:
        """Pass on how far the listener of a reply is; one that has ended needs no pace."""
        running = self._running.get(request_id)
        if running is not None and request_id not in self._building:
            self._engine.report_playback(running.engine_id, num_chars)

    def abort(self, request_id: str) -> None:
        """Call a request off, submitted or not."""
        running = self._running.get(request_id)
        if running is None:
            return
        running.watch.cancelled(self._loop.time())
        self._memory.stop(request_id)
        task = self._building.pop(request_id, None)
        if task is None:
            self._engine.cancel(running.engine_id)
            return
        task.cancel()
        self._end(RequestDelta(request_id, "", [], FinishReason.ABORT))

    def close(self) -> None:
        """Call everything off; the socket is gone, and the conversation will not go on."""
        self.discard()
        for request_id in list(self._running):
            self.abort(request_id)
        for conversation_id in self._conversations:
            self._engine.release_conversation(conversation_id)
        self._conversations.clear()

    async def _start_in_thread(self, effect: Generate, work: Callable[[], Recollection]) -> None:
        try:
            built = await self._loop.run_in_executor(self._state.prompt_threads, work)
            self._submit(effect, built)
        except Exception as error:
            self._fail(effect.request_id, error)
        finally:
            self._building.pop(effect.request_id, None)

    def _submit(self, effect: Generate, built: Recollection) -> None:
        token_ids = built.token_ids
        params = self._maker.fit(effect.params, len(token_ids))
        service = self._maker.service(effect, token_ids)
        if effect.conversation_id:
            engine_id = self._ahead.take(effect.request_id, token_ids, params, service)
            if engine_id is not None:
                self._running[effect.request_id].engine_id = engine_id
                self._remember(effect, built)
                return
        self._engine.submit(
            effect.request_id, token_ids, params, on_delta=self._on_delta, service=service
        )
        self._remember(effect, built)

    def _remember(self, effect: Generate, built: Recollection) -> None:
        """From now on the model has read this prompt."""
        if not effect.conversation_id:
            return
        self._conversations.add(effect.conversation_id)
        if built.rerendered == "dropped":
            self._listener.on_compacted(self._memory.num_tokens, len(built.token_ids))
        self._memory.begin(effect.request_id, built.memory, room=self._maker.room(effect))
        if built.rerendered is not None:
            self._state.metrics.rerenders.labels(built.rerendered).inc()

    def _on_delta(self, delta: RequestDelta) -> None:
        running = self._running.get(delta.request_id)
        if running is None:
            return
        running.watch.on_delta(delta, self._loop.time())
        self._memory.add(delta.request_id, delta.token_ids)
        running.num_chars += len(delta.text)
        if not delta.text.isascii():
            running.num_wide_chars += len(delta.text)
        if delta.finish_reason is not None:
            self._state.suspect_engine(delta.error_code)
            self._measure(running, delta)
            self._memory.end(delta.request_id)
            self._tell(delta.request_id)
        self._listener.on_delta(delta)

    def _measure(self, running: _Running, last: RequestDelta) -> None:
        wide = running.num_wide_chars * 2 > running.num_chars
        self._state.density.observe(running.num_chars, last.num_output_tokens, wide=wide)

    def _fail(self, request_id: str, error: Exception) -> None:
        if request_id not in self._running:
            return
        known = isinstance(error, EngineError | ServerError)
        code = str(getattr(error, "code", "server_error")) if known else "server_error"
        if not known:
            logger.error("a prompt could not be made for %s", request_id, exc_info=bare(error))
        self._state.suspect_engine(code)
        self._end(RequestDelta(request_id, "", [], FinishReason.ERROR, error_code=code))
        self._listener.on_failure(request_id, error)

    def _end(self, delta: RequestDelta) -> None:
        """End a watch whose request the engine has never seen."""
        self._running[delta.request_id].watch.on_delta(delta, self._loop.time())
        self._tell(delta.request_id)

    def _tell(self, request_id: str) -> None:
        running = self._running.pop(request_id)
        log_line(
            logger,
            "response",
            session=self._session_id,
            request=request_id,
            **running.watch.summary(),
        )
