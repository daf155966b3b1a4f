"""Carries out what one session wants of the engine: prompt, submission, deltas, one log line.

A prompt is built on the event loop when it is short and in a thread when it is long. A cancel that
arrives meanwhile wins: the request is then never submitted. Whatever happens, each reply gets one
watch, and each watch ends in one line.

Of the session's conversation it keeps the tokens that the model has read and said, and builds the
next prompt behind them. Replies beside the conversation begin from nothing and leave nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, cast

import msgspec

from engine.errors import EngineError
from engine.outputs import RequestDelta
from engine.request import FinishReason, Service
from engine.sampling_params import SamplingParams
from server.conversation.eager import certain_ids
from server.conversation.memory import Memory, Recollection, compact, recall
from server.conversation.prompt import MAX_REPLY_RESERVE, room_for_prompt
from server.conversation.tool_tokenizer import with_tools
from server.engine_port import EnginePort
from server.errors import ServerError
from server.log_lines import bare, log_line
from server.metrics import ResponseWatch
from server.session.effects import Compact, Generate, Prepare
from server.sockets.prefill import MIN_TOKENS, Prefill
from server.state import ServerState
from server.text.pace import ListenerKind, is_wide, listener_for

logger = logging.getLogger(__name__)

PREPARE_DELAY_S = 0.02
"""Most programs ask for a reply right behind what was said; then there is nothing to prepare."""

BACKGROUND_PRIORITY = 10
"""Of what nobody waits for; any reply runs before it."""

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class ReplyListener:
    """Where news of replies goes.

    Attributes:
        on_delta: What one step brought.
        on_failure: The request could not be made; called from the loop, never from ``start``.
        on_compacted: The conversation's tokens before and after it was compacted.
        on_read: How many of the user's newest messages the model reads from now on.
    """

    on_delta: Callable[[RequestDelta], None]
    on_failure: Callable[[str, Exception], None]
    on_compacted: Callable[[int, int], None] = lambda before, after: None
    on_read: Callable[[int], None] = lambda num_turns: None


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
        self._memory = Memory()
        self._reply_ids: list[int] = []  # sampled behind the memory's prompt
        self._writing = ""  # the reply that they belong to
        self._conversations: set[str] = set()
        self._prefill = Prefill(engine, session_id, self._on_delta)
        self._pause: asyncio.TimerHandle | None = None  # before something is prepared
        self._ahead: asyncio.Task[None] | None = None  # what is being made for a later turn
        self.num_started = 0

    def __len__(self) -> int:
        return len(self._running)

    def start(self, effect: Generate) -> None:
        """Build the prompt and submit, at once or soon."""
        self.num_started += 1
        self._stop_looking_ahead()
        watch = ResponseWatch(self._state.metrics, self._loop.time())
        self._running[effect.request_id] = _Running(watch, effect.request_id)
        work = partial(self._build, effect, self._memory, list(self._reply_ids))
        if self._is_long(effect):
            task = self._loop.create_task(self._start_in_thread(effect, work))
            self._building[effect.request_id] = task
            return
        try:
            self._submit(effect, work())
        except Exception as error:
            self._loop.call_soon(self._fail, effect.request_id, error)

    def prepare(self, effect: Prepare) -> None:
        """Have what is certain of the next prompt computed, unless a reply is asked for first."""
        self._stop_looking_ahead()
        self._pause = self._loop.call_later(PREPARE_DELAY_S, self._prepare, effect)

    def compact(self, effect: Compact) -> None:
        """Make what the model remembers shorter, and have it computed in the background."""
        self._stop_looking_ahead()
        work = partial(self._compact, effect, self._memory, list(self._reply_ids))
        done = partial(self._swap, effect, self._memory.num_tokens + len(self._reply_ids))
        self._look_ahead(effect.generate, work, done)

    def discard(self) -> None:
        """Give up what was prepared."""
        self._stop_looking_ahead()
        self._prefill.drop()

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
        if self._writing == request_id:
            self._writing = ""
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

    def _is_long(self, effect: Generate) -> bool:
        num_chars = sum(len(message.content) for message in effect.messages)
        return num_chars > self._state.settings.limits.inline_prompt_chars

    async def _start_in_thread(self, effect: Generate, work: Callable[[], Recollection]) -> None:
        try:
            built = await self._loop.run_in_executor(self._state.prompt_threads, work)
            self._submit(effect, built)
        except Exception as error:
            self._fail(effect.request_id, error)
        finally:
            self._building.pop(effect.request_id, None)

    def _room(self, effect: Generate) -> int:
        return room_for_prompt(
            self._engine.info.max_model_len,
            effect.max_output_tokens or MAX_REPLY_RESERVE,
            self._state.settings.limits.max_prompt_tokens,
        )

    def _build(self, effect: Generate, memory: Memory, reply_ids: list[int]) -> Recollection:
        """Pure computation, safe in any thread."""
        tokenizer = with_tools(self._engine.tokenizer, effect.tools)
        memory = memory.with_reply(reply_ids, tokenizer) if effect.conversation_id else Memory()
        built = recall(
            memory,
            effect.messages,
            tokenizer,
            max_prompt_tokens=self._room(effect),
            truncation=effect.truncation,
            begun=effect.begun,
        )
        self._state.pinned.count(  # slow only once
            effect.persona, built.token_ids, self._engine.tokenizer
        )
        return built

    def _submit(self, effect: Generate, built: Recollection) -> None:
        params, token_ids = self._fit(effect.params, len(built.token_ids)), built.token_ids
        service = self._service(effect, token_ids)
        if effect.conversation_id:
            engine_id = self._prefill.take(effect.request_id, token_ids, params, service)
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
        self._memory, self._reply_ids = built.memory, []
        self._writing = effect.request_id
        self._listener.on_read(built.memory.num_turns)
        if built.rerendered is not None:
            self._state.metrics.rerenders.labels(built.rerendered).inc()

    def _fit(self, params: SamplingParams, num_prompt_tokens: int) -> SamplingParams:
        room = self._engine.info.max_model_len - num_prompt_tokens
        if params.max_tokens is None or params.max_tokens <= room:
            return params
        return msgspec.structs.replace(params, max_tokens=max(room, params.min_tokens, 1))

    def _service(self, effect: Generate, token_ids: list[int], *, priority: int = 0) -> Service:
        state, wanted = self._state, effect.listener
        said = effect.messages[-1].content if effect.messages else ""
        kind = "none" if wanted is None else wanted.kind
        return Service(
            priority=priority,
            cache_salt=effect.cache_salt,
            tenant=effect.tenant,
            conversation_id=effect.conversation_id,
            num_pinned_tokens=state.pinned.count(effect.persona, token_ids, self._engine.tokenizer),
            listener=listener_for(
                cast(ListenerKind, kind),
                None if wanted is None else wanted.rate,
                state.density,
                wide=is_wide(said),
            ),
        )

    def _prepare(self, effect: Prepare) -> None:
        self._pause = None
        work = partial(self._find_certain, effect, self._memory, list(self._reply_ids))
        self._look_ahead(effect.generate, work, partial(self._offer, effect))

    def _find_certain(self, effect: Prepare, memory: Memory, reply_ids: list[int]) -> list[int]:
        """Pure computation, safe in any thread; nothing where it would not be worth it."""
        wanted = effect.generate
        tokenizer = with_tools(self._engine.tokenizer, wanted.tools)
        memory = memory.with_reply(reply_ids, tokenizer)
        ids = certain_ids(
            memory,
            wanted.messages,
            tokenizer,
            max_prompt_tokens=self._room(wanted),
            truncation=wanted.truncation,
            draft=effect.draft,
        )
        known = memory.log.token_ids
        num_new = len(ids) - len(known) if ids[: len(known)] == known else len(ids)
        return ids if num_new >= MIN_TOKENS else []

    def _offer(self, effect: Prepare, token_ids: list[int]) -> None:
        if token_ids:
            wanted = effect.generate
            self._conversations.add(wanted.conversation_id)
            self._prefill.offer(token_ids, wanted.params, self._service(wanted, token_ids))

    def _compact(self, effect: Compact, memory: Memory, reply_ids: list[int]) -> Memory | None:
        """Pure computation, safe in any thread."""
        wanted = effect.generate
        tokenizer = with_tools(self._engine.tokenizer, wanted.tools)
        memory = memory.with_reply(reply_ids, tokenizer)
        share = self._state.settings.limits.compact_to * self._room(wanted) / memory.num_tokens
        return compact(memory, wanted.messages, tokenizer, share=share, summary=effect.summary)

    def _swap(self, effect: Compact, num_before: int, memory: Memory | None) -> None:
        """Go on from the shorter memory with the next turn."""
        if memory is None or memory.num_tokens >= num_before:
            return
        self._memory, self._reply_ids, self._writing = memory, [], ""
        wanted, token_ids = effect.generate, memory.log.token_ids
        service = self._service(wanted, token_ids, priority=BACKGROUND_PRIORITY)
        self._prefill.offer(token_ids, wanted.params, service)
        self._listener.on_read(memory.num_turns)
        self._listener.on_compacted(num_before, len(token_ids))

    def _look_ahead(
        self, wanted: Generate, work: Callable[[], _Made], done: Callable[[_Made], None]
    ) -> None:
        """Make something for a later turn, in a thread when it is long; failing does no harm."""
        if self._is_long(wanted):
            self._ahead = self._loop.create_task(self._look_ahead_in_thread(work, done))
            return
        try:
            done(work())
        except (EngineError, ServerError) as error:
            logger.debug("nothing was prepared: %s", getattr(error, "code", "error"))

    async def _look_ahead_in_thread(
        self, work: Callable[[], _Made], done: Callable[[_Made], None]
    ) -> None:
        try:
            done(await self._loop.run_in_executor(self._state.prompt_threads, work))
        except (EngineError, ServerError) as error:
            logger.debug("nothing was prepared: %s", getattr(error, "code", "error"))

    def _stop_looking_ahead(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._ahead is not None:
            self._ahead.cancel()
            self._ahead = None

    def _on_delta(self, delta: RequestDelta) -> None:
        running = self._running.get(delta.request_id)
        if running is None:
            return
        running.watch.on_delta(delta, self._loop.time())
        if delta.request_id == self._writing:
            self._reply_ids += delta.token_ids
        running.num_chars += len(delta.text)
        if not delta.text.isascii():
            running.num_wide_chars += len(delta.text)
        if delta.finish_reason is not None:
            self._state.suspect_engine(delta.error_code)
            self._measure(running, delta)
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
