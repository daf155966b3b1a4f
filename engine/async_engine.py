"""The engine for servers: requests in, text deltas out, all of one step in one synchronous go."""

from __future__ import annotations

import asyncio
import itertools
import logging
import operator
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from engine.config import EngineConfig
from engine.engine_client import EngineClient, InProcessClient
from engine.errors import DuplicateRequest, EngineDead, EngineError, PromptTooLong
from engine.outputs import (
    EngineHealth,
    EngineInfo,
    EngineNews,
    EngineStatus,
    RequestDelta,
    StepFrame,
    StepStats,
    TokenOutput,
    join_deltas,
)
from engine.request import (
    DEFAULT_SERVICE,
    FinishReason,
    RequestUpdate,
    Service,
    make_request,
)
from engine.sampling_params import SamplingParams
from engine.supervised_client import SupervisedClient
from engine.text_stream import TextStream, complete, dry_breaker_ids
from engine.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

MAX_IDLE_SILENCE_S = 5.0
"""An idle engine says every second that it lives; silence beyond this is told as no progress."""

DeltaListener = Callable[[RequestDelta], None]
StepListener = Callable[[StepStats], None]
StatusListener = Callable[[EngineNews], None]


class _Live:
    """A request that has not ended.

    ``engine_id`` is its name inside the engine, used once: a caller may use an id again as soon as
    the terminal delta has come, while the engine is still being told of a stop string.
    """

    __slots__ = ("cancelled", "engine_id", "num_preemptions", "on_delta", "stream")

    def __init__(self, stream: TextStream, on_delta: DeltaListener, engine_id: str) -> None:
        self.stream = stream
        self.on_delta = on_delta
        self.engine_id = engine_id
        self.cancelled = False
        self.num_preemptions = 0


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
        self._by_engine_id: dict[str, _Live] = {}
        self._step_listeners: dict[int, StepListener] = {}
        self._status_listeners: dict[int, StatusListener] = {}
        self._listener_ids = itertools.count()
        self._request_ids = itertools.count()
        self._engine_ids = itertools.count()
        self._dead: str | None = None
        self._is_recovering = False
        self._loop = asyncio.get_running_loop()
        self._last_progress = self._loop.time()
        client.listen(self._receive, self._lose, self._hear_news)

    @classmethod
    async def start(
        cls,
        config: EngineConfig,
        *,
        in_process: bool = False,
        on_progress: Callable[[float, str], None] | None = None,
    ) -> AsyncEngine:
        """Load a model and be ready.

        An engine process that is lost is started anew, and live requests go on; see
        `SupervisionConfig`.

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
            client = await SupervisedClient.start(config, on_progress=on_progress)
        try:
            tokenizer = await asyncio.to_thread(_read_tokenizer, Path(client.info.model_path))
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
        service: Service = DEFAULT_SERVICE,
    ) -> None:
        """Hand in a request.

        ``on_delta`` is called synchronously with all others of the same step, never from within
        this call. A refusal comes as a delta with ``error``.

        Raises:
            EngineDead: The engine is gone.
            DuplicateRequest: A live request has this id.
            InvalidParameter: An argument is not of the type that it should be.
        """
        if self._dead is not None:
            raise EngineDead(self._dead)
        if request_id in self._live:
            raise DuplicateRequest(request_id)
        if not self._live:
            self._last_progress = self._loop.time()
        engine_id = f"{request_id}#{next(self._engine_ids)}"
        request = make_request(
            engine_id,
            prompt_token_ids,
            complete(params, self._tokenizer),
            service,
        )
        live = _Live(TextStream(request_id, params, self._tokenizer), on_delta, engine_id)
        self._live[request_id] = self._by_engine_id[engine_id] = live
        if len(request.prompt_token_ids) >= self.info.max_model_len:
            # Refused here: it need not cross the process border, where frames are bounded.
            too_long = PromptTooLong(len(request.prompt_token_ids), self.info.max_model_len - 1)
            self._loop.call_soon(self._end, live, FinishReason.ERROR, too_long)
        else:
            self._client.submit([request])

    def append(
        self,
        request_id: str,
        token_ids: Sequence[int],
        *,
        params: SamplingParams | None = None,
        is_final: bool = False,
    ) -> None:
        """Put more tokens behind a prompt that was not final; with the last of them it replies.

        An unknown or finished id is ignored.
        """
        live = self._live.get(request_id)
        if live is None or live.cancelled or self._dead is not None:
            return
        if params is not None:
            live.stream = TextStream(request_id, params, self._tokenizer)
            params = complete(params, self._tokenizer)
        update = RequestUpdate(
            request_id=live.engine_id,
            token_ids=[operator.index(token_id) for token_id in token_ids],
            params=params,
            is_final=is_final,
        )
        self._client.update([update])

    def report_playback(self, request_id: str, num_chars: int) -> None:
        """Say how much of a reply's text its listener has read or heard.

        Args:
            request_id: Whose; an unknown or finished id is ignored.
            num_chars: Code points of the text of all deltas so far.
        """
        live = self._live.get(request_id)
        if live is not None and not live.cancelled and self._dead is None:
            heard = live.stream.num_tokens_within(num_chars)
            self._client.update([RequestUpdate(request_id=live.engine_id, num_heard_tokens=heard)])

    def release_conversation(self, conversation_id: str) -> None:
        """Say that a conversation will not go on; its KV is kept no longer than any other."""
        if self._dead is None:
            self._client.release([conversation_id])

    def cancel(self, request_id: str) -> None:
        """Call a request off; its terminal delta follows with ``abort`` and no more text.

        An unknown or finished id is ignored.
        """
        live = self._live.get(request_id)
        if live is not None and not live.cancelled and self._dead is None:
            live.cancelled = True
            self._client.cancel([live.engine_id])

    async def generate(
        self,
        prompt: str | Sequence[int],
        params: SamplingParams,
        *,
        request_id: str | None = None,
        service: Service = DEFAULT_SERVICE,
    ) -> AsyncIterator[RequestDelta]:
        """Yield a request's deltas as they are made; leaving the loop early cancels it.

        Args:
            prompt: Text, or token ids.
            params: How to sample.
            request_id: Unique among live requests; made up when left out.
            service: How to be served.

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
            service=service,
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

    def add_status_listener(self, listener: StatusListener) -> Callable[[], None]:
        """Hear when the engine is lost, back, or given up; the returned function unsubscribes."""
        key = next(self._listener_ids)
        self._status_listeners[key] = listener

        def unsubscribe() -> None:
            self._status_listeners.pop(key, None)

        return unsubscribe

    def health(self) -> EngineHealth:
        """Whether the engine lives and makes progress."""
        silent = self._client.seconds_silent
        if self._dead is not None:
            return EngineHealth(False, self._dead, len(self._live), 0.0)
        if self._is_recovering:
            reason = "the engine is being restarted"
            return EngineHealth(True, reason, len(self._live), 0.0, is_recovering=True)
        if self._live:
            # an engine that says it is idle waits for the rest of a prompt, say
            silent = min(silent, self._loop.time() - self._last_progress)
        elif silent < MAX_IDLE_SILENCE_S:
            silent = 0.0
        return EngineHealth(True, "", len(self._live), silent)

    async def aclose(self) -> None:
        """End the engine; live requests end with ``abort``."""
        await self._client.aclose()
        self._end_all(FinishReason.ABORT, None)
        self._dead = self._dead or "the engine was closed"

    def _receive(self, frames: Sequence[StepFrame]) -> None:
        """Hand out what steps have brought; where several came at once, each listener hears once.

        A caller that is behind its engine so gets fewer, larger deltas, and catches up.
        """
        self._last_progress = self._loop.time()
        brought: dict[str, list[tuple[TokenOutput, int]]] = {}
        for frame in frames:
            batch_size = 0 if frame.stats is None else len(frame.stats.batch)
            for output in frame.outputs:
                brought.setdefault(output.request_id, []).append((output, batch_size))
        for engine_id, outputs in brought.items():
            live = self._by_engine_id.get(engine_id)
            if live is not None:
                self._deliver(live, outputs)
        for frame in frames:
            if frame.stats is not None:
                self._tell_step(frame.stats)

    def _tell_step(self, stats: StepStats) -> None:
        self._count_preemptions(stats)
        for listener in list(self._step_listeners.values()):
            try:
                listener(stats)
            except Exception:
                logger.exception("a step listener failed")

    def _count_preemptions(self, stats: StepStats) -> None:
        """Whoever has left the batch and has not ended has lost its blocks."""
        for engine_id in stats.left:
            live = self._by_engine_id.get(engine_id)
            if live is not None:
                live.num_preemptions += 1

    def _deliver(self, live: _Live, outputs: Sequence[tuple[TokenOutput, int]]) -> None:
        last, _ = outputs[-1]
        if live.cancelled:
            if last.finish_reason is None:
                return
            delta = _abort_of(last, live.stream.request_id)
        else:
            delta = self._read(live, outputs)
        if delta.finish_reason is not None:
            self._forget(live)
        self._call(live, delta)
        if delta.finish_reason is not None and last.finish_reason is None:
            self._client.cancel([live.engine_id])  # a stop string: the engine does not know yet

    def _read(self, live: _Live, outputs: Sequence[tuple[TokenOutput, int]]) -> RequestDelta:
        """Make one delta of them all, or of those up to a stop string."""
        deltas: list[RequestDelta] = []
        for output, batch_size in outputs:
            delta = live.stream.push(
                output, batch_size=batch_size, num_preemptions=live.num_preemptions
            )
            deltas.append(delta)
            if delta.finish_reason is not None:
                break
        return join_deltas(deltas)

    def _call(self, live: _Live, delta: RequestDelta) -> None:
        try:
            live.on_delta(delta)
        except Exception:
            # One listener's fault must not cost the others their tokens.
            logger.exception("a listener failed on request %s", delta.request_id)

    def _hear_news(self, news: EngineNews) -> None:
        self._is_recovering = news.status is EngineStatus.RECOVERING
        self._last_progress = self._loop.time()
        for listener in list(self._status_listeners.values()):
            try:
                listener(news)
            except Exception:
                logger.exception("a status listener failed")

    def _lose(self, sentence: str) -> None:
        self._dead = sentence
        self._hear_news(EngineNews(EngineStatus.LOST))
        self._end_all(FinishReason.ERROR, EngineDead(f"{sentence}; restart the server"))

    def _end_all(self, reason: FinishReason, error: EngineError | None) -> None:
        for live in list(self._live.values()):
            self._end(live, FinishReason.ABORT if live.cancelled else reason, error)

    def _end(self, live: _Live, reason: FinishReason, error: EngineError | None) -> None:
        """End a request of which the engine will say nothing more."""
        if self._live.get(live.stream.request_id) is not live:
            return
        self._forget(live)
        failed = error is not None and reason is FinishReason.ERROR
        delta = RequestDelta(
            live.stream.request_id,
            "",
            [],
            reason,
            error_code=error.code if failed and error else None,
            error_message=error.message if failed and error else None,
            error_param=error.param if failed and error else None,
        )
        self._call(live, delta)

    def _forget(self, live: _Live) -> None:
        del self._live[live.stream.request_id]
        del self._by_engine_id[live.engine_id]


def _read_tokenizer(folder: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_folder(folder)
    dry_breaker_ids(tokenizer)  # looks through the whole vocabulary: once, and not on the loop
    return tokenizer


def _abort_of(output: TokenOutput, request_id: str) -> RequestDelta:
    return RequestDelta(
        request_id,
        "",
        [],
        FinishReason.ABORT,
        num_prompt_tokens=output.num_prompt_tokens,
        num_cached_tokens=output.num_cached_tokens,
        num_output_tokens=output.num_output_tokens,
        queue_s=output.queue_s,
    )
