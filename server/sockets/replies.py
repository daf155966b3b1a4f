"""Carries out one session's ``Generate`` and ``Abort``: prompt, submission, deltas, one log line.

A prompt is built on the event loop when it is short and in a thread when it is long. A cancel that
arrives meanwhile wins: the request is then never submitted. Whatever happens, each request gets one
watch, and each watch ends in one line.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from engine.errors import EngineError
from engine.outputs import RequestDelta
from engine.request import FinishReason, Service
from server.conversation.prompt import BuiltPrompt, build_prompt
from server.engine_port import EnginePort
from server.errors import ServerError
from server.log_lines import bare, log_line
from server.metrics import ResponseWatch
from server.session.effects import Generate
from server.state import ServerState

logger = logging.getLogger(__name__)

MAX_REPLY_RESERVE = 512
"""Tokens of the context that a prompt leaves to a reply without a length of its own."""


@dataclass(frozen=True, slots=True)
class ReplyListener:
    """Where news of replies goes.

    Attributes:
        on_delta: What one step brought.
        on_failure: The request could not be made; called from the loop, never from ``start``.
    """

    on_delta: Callable[[RequestDelta], None]
    on_failure: Callable[[str, Exception], None]


class Replies:
    """The requests of one session that have not ended."""

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
        self._watches: dict[str, ResponseWatch] = {}
        self._building: dict[str, asyncio.Task[None]] = {}
        self.num_started = 0

    def __len__(self) -> int:
        return len(self._watches)

    def start(self, effect: Generate) -> None:
        """Build the prompt and submit, at once or soon."""
        self.num_started += 1
        now = self._loop.time()
        self._watches[effect.request_id] = ResponseWatch(self._state.metrics, now)
        num_chars = sum(len(message.content) for message in effect.messages)
        if num_chars > self._state.settings.limits.inline_prompt_chars:
            task = self._loop.create_task(self._build_in_thread(effect))
            self._building[effect.request_id] = task
            return
        try:
            self._submit(effect, self._build(effect))
        except Exception as error:
            self._loop.call_soon(self._fail, effect.request_id, error)

    def abort(self, request_id: str) -> None:
        """Call a request off, submitted or not."""
        watch = self._watches.get(request_id)
        if watch is None:
            return
        watch.cancelled(self._loop.time())
        task = self._building.pop(request_id, None)
        if task is None:
            self._engine.cancel(request_id)
            return
        task.cancel()
        self._end(RequestDelta(request_id, "", [], FinishReason.ABORT))

    def abort_all(self) -> None:
        """Call everything off; the socket is gone."""
        for request_id in list(self._watches):
            self.abort(request_id)

    async def _build_in_thread(self, effect: Generate) -> None:
        try:
            prompt = await self._loop.run_in_executor(
                self._state.prompt_threads, self._build, effect
            )
            self._submit(effect, prompt)
        except Exception as error:
            self._fail(effect.request_id, error)
        finally:
            self._building.pop(effect.request_id, None)

    def _build(self, effect: Generate) -> BuiltPrompt:
        """Pure computation, safe in any thread."""
        context = self._engine.info.max_model_len
        reserve = min(effect.max_output_tokens or MAX_REPLY_RESERVE, context // 2)
        most = context - max(1, reserve)
        limit = self._state.settings.limits.max_prompt_tokens
        return build_prompt(
            effect.messages,
            self._engine.tokenizer,
            max_prompt_tokens=most if limit is None else min(most, limit),
            truncation=effect.truncation,
        )

    def _submit(self, effect: Generate, prompt: BuiltPrompt) -> None:
        room = self._engine.info.max_model_len - len(prompt.token_ids)
        params = effect.params
        if params.max_tokens is not None and params.max_tokens > room:
            params = msgspec.structs.replace(params, max_tokens=max(room, params.min_tokens, 1))
        self._engine.submit(
            effect.request_id,
            prompt.token_ids,
            params,
            on_delta=self._on_delta,
            service=Service(cache_salt=effect.cache_salt),
        )

    def _on_delta(self, delta: RequestDelta) -> None:
        watch = self._watches.get(delta.request_id)
        if watch is None:
            return
        watch.on_delta(delta, self._loop.time())
        if delta.finish_reason is not None:
            self._state.suspect_engine(delta.error_code)
            self._tell(delta.request_id)
        self._listener.on_delta(delta)

    def _fail(self, request_id: str, error: Exception) -> None:
        if request_id not in self._watches:
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
        self._watches[delta.request_id].on_delta(delta, self._loop.time())
        self._tell(delta.request_id)

    def _tell(self, request_id: str) -> None:
        watch = self._watches.pop(request_id)
        log_line(
            logger,
            "response",
            session=self._session_id,
            request=request_id,
            **watch.summary(),
        )
