"""The engine for servers: requests in, text deltas out, all of one step in one synchronous go."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from engine.config import EngineConfig
from engine.engine_client import EngineClient, InProcessClient
from engine.errors import DuplicateRequest, EngineDead, EngineError
from engine.outputs import (
    EngineHealth,
    EngineInfo,
    RequestDelta,
    StepFrame,
    StepStats,
    TokenOutput,
)
from engine.process_client import ProcessClient
from engine.request import EngineRequest, FinishReason
from engine.sampling_params import SamplingParams
from engine.text_stream import TextStream, with_seed
from engine.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

DeltaListener = Callable[[RequestDelta], None]
StepListener = Callable[[StepStats], None]


class _Live:
    """A request that has not ended."""

    __slots__ = ("cancelled", "on_delta", "stream")

    def __init__(self, stream: TextStream, on_delta: DeltaListener) -> None:
        self.stream = stream
        self.on_delta = on_delta
        self.cancelled = False


class AsyncEngine:
    """Hands requests to an engine and text back to whoever asked.

    Every request ends in exactly one delta with a ``finish_reason``. All calls belong on the
    event loop that started the engine.
    """

    def __init__(self, client: EngineClient, tokenizer: Tokenizer) -> None:
        """Take over a started client; see ``start`` for the usual way."""
        self._client = client
        self._tokenizer = tokenizer
        self._live: dict[str, _Live] = {}
        self._step_listeners: dict[int, StepListener] = {}
        self._listener_ids = itertools.count()
        self._request_ids = itertools.count()
        self._dead: str | None = None
        self._loop = asyncio.get_running_loop()
        self._last_progress = self._loop.time()
        client.listen(self._receive, self._lose)

    @classmethod
    async def start(
        cls,
        config: EngineConfig,
        *,
        in_process: bool = False,
        on_progress: Callable[[float, str], None] | None = None,
    ) -> AsyncEngine:
        """Load a model and be ready.

        Args:
            config: What to load, and limits.
            in_process: Step on this event loop instead of in a process of its own. Simple, and
                right for notebooks and tests; a server's sockets would wait for every step.
            on_progress: Called with a share of 1 and a phrase while loading.

        Raises:
            ModelError: The checkpoint cannot be served.
            ConfigError: The settings cannot work.
            EngineDead: The engine process ended before it was ready.
        """
        client: EngineClient
        if in_process:
            from engine.build import build_core  # brings torch into this process

            client = InProcessClient(build_core(config, on_progress=on_progress))
        else:
            client = await ProcessClient.start(config, on_progress=on_progress)
        try:
            path = Path(client.info.model_path)
            tokenizer = await asyncio.to_thread(Tokenizer.from_folder, path)
        except BaseException:
            await client.aclose()
            raise
        return cls(client, tokenizer)

    @property
    def info(self) -> EngineInfo:
        """What the engine said of itself when it started."""
        return self._client.info

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return self._tokenizer

    def submit(
        self,
        request_id: str,
        prompt_token_ids: Sequence[int],
        params: SamplingParams,
        *,
        on_delta: DeltaListener,
        priority: int = 0,
        cache_salt: str = "",
    ) -> None:
        """Hand in a request.

        ``on_delta`` is called synchronously with all others of the same step, never from within
        this call. A refusal comes as a delta with ``error``.

        Raises:
            EngineDead: The engine is gone.
            DuplicateRequest: A live request has this id.
        """
        if self._dead is not None:
            raise EngineDead(self._dead)
        if request_id in self._live:
            raise DuplicateRequest(request_id)
        if not self._live:
            self._last_progress = self._loop.time()
        request = EngineRequest(
            request_id=request_id,
            prompt_token_ids=list(prompt_token_ids),
            params=with_seed(params),
            priority=priority,
            cache_salt=cache_salt,
        )
        self._client.submit([request])
        self._live[request_id] = _Live(TextStream(request_id, params, self._tokenizer), on_delta)

    def cancel(self, request_id: str) -> None:
        """Call a request off; its terminal delta follows with ``abort`` and no more text.

        An unknown or finished id is ignored.
        """
        live = self._live.get(request_id)
        if live is not None and not live.cancelled and self._dead is None:
            live.cancelled = True
            self._client.cancel([request_id])

    async def generate(
        self,
        prompt: str | Sequence[int],
        params: SamplingParams,
        *,
        request_id: str | None = None,
        priority: int = 0,
        cache_salt: str = "",
    ) -> AsyncIterator[RequestDelta]:
        """Yield a request's deltas as they are made; leaving the loop early cancels it.

        Args:
            prompt: Text, or token ids.
            params: How to sample.
            request_id: Unique among live requests; made up when left out.
            priority: Lower runs first.
            cache_salt: Prefixes are shared only between equal salts.

        Raises:
            EngineDead: The engine is gone.
        """
        token_ids = self._tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
        if request_id is None:
            request_id = f"generate-{next(self._request_ids)}"
        # Bounded by the reply's own length: one delta per token.
        deltas: asyncio.Queue[RequestDelta] = asyncio.Queue()
        self.submit(
            request_id,
            token_ids,
            params,
            on_delta=deltas.put_nowait,
            priority=priority,
            cache_salt=cache_salt,
        )
        finished = False
        try:
            while not finished:
                delta = await deltas.get()
                finished = delta.finish_reason is not None
                yield delta
        finally:
            if not finished:
                self.cancel(request_id)

    def add_step_listener(self, listener: StepListener) -> Callable[[], None]:
        """Hear of every step; the returned function unsubscribes."""
        key = next(self._listener_ids)
        self._step_listeners[key] = listener

        def unsubscribe() -> None:
            self._step_listeners.pop(key, None)

        return unsubscribe

    def health(self) -> EngineHealth:
        """Whether the engine lives and makes progress."""
        idle = not self._live or self._dead is not None
        return EngineHealth(
            alive=self._dead is None,
            reason=self._dead or "",
            num_live_requests=len(self._live),
            seconds_since_progress=0.0 if idle else self._loop.time() - self._last_progress,
        )

    async def aclose(self) -> None:
        """End the engine; live requests end with ``abort``."""
        await self._client.aclose()
        self._end_all(FinishReason.ABORT, None)
        self._dead = self._dead or "the engine was closed"

    def _receive(self, frame: StepFrame) -> None:
        self._last_progress = self._loop.time()
        for output in frame.outputs:
            live = self._live.get(output.request_id)
            if live is not None:
                self._deliver(live, output)
        if frame.stats is not None:
            for listener in list(self._step_listeners.values()):
                listener(frame.stats)

    def _deliver(self, live: _Live, output: TokenOutput) -> None:
        if live.cancelled:
            if output.finish_reason is None:
                return
            delta = _abort_of(output)
        else:
            delta = live.stream.push(output)
        if delta.finish_reason is not None:
            del self._live[output.request_id]
            if output.finish_reason is None:  # a stop string: the engine does not know yet
                self._client.cancel([output.request_id])
        self._call(live, delta)

    def _call(self, live: _Live, delta: RequestDelta) -> None:
        try:
            live.on_delta(delta)
        except Exception:
            # One listener's fault must not cost the others their tokens.
            logger.exception("a listener failed on request %s", delta.request_id)

    def _lose(self, sentence: str) -> None:
        self._dead = sentence
        self._end_all(FinishReason.ERROR, EngineDead(f"{sentence}; restart the server"))

    def _end_all(self, reason: FinishReason, error: EngineError | None) -> None:
        live_requests, self._live = self._live, {}
        for request_id, live in live_requests.items():
            delta = RequestDelta(
                request_id,
                "",
                [],
                FinishReason.ABORT if live.cancelled else reason,
                error_code=None if error is None else error.code,
                error_message=None if error is None else error.message,
            )
            self._call(live, delta)


def _abort_of(output: TokenOutput) -> RequestDelta:
    return RequestDelta(
        output.request_id,
        "",
        [],
        FinishReason.ABORT,
        num_prompt_tokens=output.num_prompt_tokens,
        num_cached_tokens=output.num_cached_tokens,
        num_output_tokens=output.num_output_tokens,
        queue_s=output.queue_s,
    )
