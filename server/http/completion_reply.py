"""One chat completion: from a planned prompt to JSON, or to events as steps bring them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from engine.errors import EngineError
from engine.outputs import RequestDelta, join_deltas
from engine.request import FinishReason, Service
from engine.sampling_params import SamplingParams
from server.engine_port import EnginePort
from server.http.completion_shapes import CompletionShape, TokenText, logprobs_of, usage_of
from server.http.event_stream import DONE, event
from server.http.feed import DeltaFeed
from server.http.passages import Turnstile
from server.http.refusals import HttpRefusal, from_code, from_engine_error, unavailable
from server.http.reply_text import ReplyText
from server.log_lines import log_line
from server.response_watch import ResponseWatch
from server.state import ServerState

logger = logging.getLogger(__name__)

KEEP_ALIVE_S = 10.0
"""A stream that waits in the queue says so this often, for the sake of proxies between."""

_KEEP_ALIVE = b": waiting\n\n"
_UNFINISHED = "the server restarts and could not finish this reply; ask again in a few seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A request that is ready for the engine.

    Attributes:
        prompt_token_ids: The whole prompt.
        params: How to sample.
        service: Who may share its prefix, whose turn it takes, how fast it is read.
        shape: What every object of the answer repeats.
        text: Turns what the model writes into what the client asked to see.
        grammar_field: The field that the engine's grammar was made of, for its refusals.
        token_text: For logprobs; ``None`` when they were not asked for.
    """

    prompt_token_ids: list[int]
    params: SamplingParams
    service: Service
    shape: CompletionShape
    text: ReplyText
    grammar_field: str
    token_text: TokenText | None


class CompletionReply:
    """Runs one plan; the engine's request never outlives it."""

    def __init__(
        self, state: ServerState, engine: EnginePort, plan: Plan, turnstile: Turnstile
    ) -> None:
        self._state = state
        self._engine = engine
        self._plan = plan
        self._turnstile = turnstile

    def headers(self) -> dict[str, str]:
        """What the client has left."""
        return self._turnstile.headers(asyncio.get_running_loop().time())

    async def whole(self) -> dict[str, object]:
        """Collect the reply.

        Raises:
            HttpRefusal: Its client has used up its limits, or the engine refused the request or
                failed on it.
        """
        written = self._plan.text
        deltas: list[RequestDelta] = []
        async with self._submitted() as feed:
            while not deltas or deltas[-1].finish_reason is None:
                delta = await feed.take()
                if delta is not None:
                    self._refuse_failure(delta)
                    deltas.append(delta)
        reply = join_deltas(deltas)
        assert reply.finish_reason is not None
        written.feed(reply.text)
        written.finish(reply.finish_reason, at_stop_string=reply.met_stop_string)
        return self._plan.shape.whole(
            written.content,
            written.calls,
            written.finish_reason(reply.finish_reason),
            self._logprobs(reply),
            usage_of(reply),
        )

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Yield the reply as events, each in the moment its step is over.

        Raises:
            HttpRefusal: Its client has used up its limits, or the engine refused before the first
                token; later failures are an error event, because the status has been sent.
        """
        shape = self._plan.shape
        async with self._submitted() as feed:
            with feed.ticking(KEEP_ALIVE_S):
                delta = await feed.take()
                if delta is not None:
                    self._refuse_failure(delta)
                yield event(shape.chunk({"role": "assistant", "content": ""}))
                while True:
                    if delta is None:
                        yield _KEEP_ALIVE
                    elif (refusal := self._failure_of(delta)) is not None:
                        yield event(refusal.as_error())
                        break
                    else:
                        for chunk in self._chunks(delta):
                            yield event(chunk)
                        if delta.finish_reason is not None:
                            break
                    delta = await feed.take()
        yield DONE

    def _chunks(self, delta: RequestDelta) -> Iterator[dict[str, object]]:
        shape, written = self._plan.shape, self._plan.text
        parts, reason = written.feed(delta.text), delta.finish_reason
        if reason is not None:
            parts += written.finish(reason, at_stop_string=delta.met_stop_string)
        logprobs = self._logprobs(delta)
        if logprobs and not parts:
            parts = [{"content": ""}]
        for index, part in enumerate(parts):
            yield shape.chunk(part, logprobs=None if index else logprobs)
        if reason is not None:
            yield shape.chunk({}, written.finish_reason(reason))
            if shape.include_usage:
                yield shape.usage_chunk(usage_of(delta))

    def _logprobs(self, delta: RequestDelta) -> dict[str, object] | None:
        token_text = self._plan.token_text
        if token_text is None:
            return None
        return logprobs_of(delta, token_text)

    def _failure_of(self, delta: RequestDelta) -> HttpRefusal | None:
        match delta.finish_reason:
            case FinishReason.ERROR:
                param = delta.error_param
                if param is not None and param.partition(".")[0] == "grammar":
                    param = self._plan.grammar_field
                return from_code(delta.error_code, delta.error_message, param, delta.retry_after_s)
            case FinishReason.ABORT:
                if self._state.is_draining:
                    return unavailable("draining", _UNFINISHED)
                return unavailable("aborted", "the server called the reply off; try again")
        return None

    def _refuse_failure(self, delta: RequestDelta) -> None:
        refusal = self._failure_of(delta)
        if refusal is not None:
            raise refusal

    @asynccontextmanager
    async def _submitted(self) -> AsyncIterator[DeltaFeed]:
        """Hand the plan to the engine, and call it off when the caller leaves early."""
        feed = DeltaFeed()
        clock = asyncio.get_running_loop().time
        prompt, params = self._plan.prompt_token_ids, self._plan.params
        passage = self._turnstile.pass_through(len(prompt), params.max_tokens, clock())
        watch = ResponseWatch(self._state.metrics, clock())
        request_id = self._plan.shape.completion_id

        def on_delta(delta: RequestDelta) -> None:
            watch.on_delta(delta, clock())
            passage.on_delta(delta, clock())
            feed.push(delta)
            if delta.finish_reason is not None:
                self._state.suspect_engine(delta.error_code)
                log_line(logger, "completion", request=request_id, **watch.summary())

        try:
            self._engine.submit(
                request_id, prompt, params, on_delta=on_delta, service=self._plan.service
            )
        except EngineError as error:
            passage.end(0, clock())
            self._state.suspect_engine(error.code)
            raise from_engine_error(error) from None
        self._state.completions.add(request_id)
        try:
            yield feed
        finally:
            self._state.completions.discard(request_id)
            if watch.finish_reason is None:
                watch.cancelled(clock())
                self._engine.cancel(request_id)
