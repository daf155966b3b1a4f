"""What is done for one session's next turn while nobody waits: read ahead, sum up, make shorter.

Everything here may be given up at any time. A reply that is asked for comes first: it calls off
whatever is still being made, and is built on what there was before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from engine.errors import EngineError
from engine.outputs import RequestDelta
from engine.request import FinishReason, Service
from engine.sampling_params import SamplingParams
from server.conversation.eager import certain_ids
from server.conversation.memory import Memory, compact
from server.conversation.summary import clean_summary, summary_params, summary_prompt
from server.engine_port import EnginePort
from server.errors import ServerError
from server.session.effects import Compact, Generate, Prepare
from server.sockets.prefill import MIN_TOKENS, Prefill
from server.sockets.prompt_maker import PromptMaker
from server.sockets.reply_gate import ReplyGate
from server.sockets.working_memory import WorkingMemory
from server.state import ServerState

logger = logging.getLogger(__name__)

PREPARE_DELAY_S = 0.02
"""Most programs ask for a reply right behind what was said; then there is nothing to prepare."""

BACKGROUND_PRIORITY = 10
"""Of what nobody waits for; any reply runs before it."""

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class AheadListener:
    """Where news of the model's memory goes.

    Attributes:
        on_delta: A prepared request that has become a reply's writes.
        on_compacted: The conversation's tokens before and after it was compacted.
        on_summarised: The new summary, then likewise.
    """

    on_delta: Callable[[RequestDelta], None]
    on_compacted: Callable[[int, int], None]
    on_summarised: Callable[[str, int, int], None]


@dataclass(slots=True)
class _Writing:
    """A summary in the making."""

    request_id: str
    effect: Compact
    pieces: list[str] = field(default_factory=list)


class LookAhead:
    """The one thing that is made for a session's next turn."""

    def __init__(
        self,
        state: ServerState,
        engine: EnginePort,
        session_id: str,
        memory: WorkingMemory,
        maker: PromptMaker,
        listener: AheadListener,
    ) -> None:
        """Start with nothing.

        Args:
            state: Shared with every room.
            engine: Who computes.
            session_id: Names of requests begin with it.
            memory: The session's; made shorter here.
            maker: Makes prompts.
            listener: Where news goes.
        """
        self._state = state
        self._engine = engine
        self._session_id = session_id
        self._memory = memory
        self._maker = maker
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._prefill = Prefill(engine, session_id, listener.on_delta)
        self._pause: asyncio.TimerHandle | None = None  # before something is prepared
        self._making: asyncio.Task[None] | None = None  # in a thread
        self._writing: _Writing | None = None
        self._num_summaries = 0

    def prepare(self, effect: Prepare) -> None:
        """Have what is certain of the next prompt computed, unless a reply is asked for first.

        Nothing is where others wait already, or where the tenant owes tokens. Somebody who is
        still typing does not keep a summary from being finished.
        """
        if effect.draft:
            self._stop_making()
        else:
            self.stop()
        self._pause = self._loop.call_later(PREPARE_DELAY_S, self._prepare, effect)

    def compact(self, effect: Compact) -> None:
        """Make what the model remembers shorter; first have it sum up what will go, if wanted."""
        self.stop()
        is_busy = self._state.is_draining or not self._has_time_for(effect.generate)
        if not effect.writes_summary or is_busy:
            self._shorten(effect)
            return
        work = partial(self._ask_for_summary, effect, self._memory.memory, self._memory.reply_ids())
        self._make(effect.generate, work, partial(self._write_summary, effect))

    def stop(self) -> None:
        """Give up what is being made; what was prepared stays."""
        self._stop_making()
        if self._writing is not None:
            self._engine.cancel(self._writing.request_id)
            self._writing = None

    def discard(self) -> None:
        """Give up what was prepared, too."""
        self.stop()
        self._prefill.drop()

    def take(
        self, reply_id: str, token_ids: list[int], params: SamplingParams, service: Service
    ) -> str | None:
        """Make what was prepared a reply's own, as ``Prefill.take`` does."""
        return self._prefill.take(reply_id, token_ids, params, service)

    def _stop_making(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._making is not None:
            self._making.cancel()
            self._making = None

    def _prepare(self, effect: Prepare) -> None:
        self._pause = None
        if not self._has_time_for(effect.generate):
            return
        memory, reply_ids = self._memory.memory, self._memory.reply_ids()
        work = partial(self._find_certain, effect, memory, reply_ids)
        self._make(effect.generate, work, partial(self._offer, effect), draft=effect.draft)

    def _find_certain(self, effect: Prepare, memory: Memory, reply_ids: list[int]) -> list[int]:
        """Pure computation, safe in any thread; nothing where it would not be worth it."""
        wanted = effect.generate
        tokenizer = self._maker.tokenizer(wanted)
        memory = memory.with_reply(reply_ids, tokenizer)
        ids = certain_ids(
            memory,
            wanted.messages,
            tokenizer,
            max_prompt_tokens=self._maker.room(wanted),
            truncation=wanted.truncation,
            summary=wanted.summary,
            draft=effect.draft,
        )
        known = memory.log.token_ids
        num_new = len(ids) - len(known) if ids[: len(known)] == known else len(ids)
        return ids if num_new >= MIN_TOKENS else []

    def _offer(self, effect: Prepare, token_ids: list[int]) -> None:
        if token_ids:
            wanted = effect.generate
            service = self._maker.service(wanted, token_ids)
            self._prefill.offer(token_ids, wanted.params, service)

    def _ask_for_summary(self, effect: Compact, memory: Memory, reply_ids: list[int]) -> list[int]:
        """Pure computation, safe in any thread; nothing where no summary can be had."""
        wanted = effect.generate
        tokenizer = self._maker.tokenizer(wanted)
        memory = memory.with_reply(reply_ids, tokenizer)
        try:
            return summary_prompt(
                memory,
                wanted.messages,
                tokenizer,
                share=self._share(effect, memory),
                num_tokens=self._summary_params(wanted).max_tokens or 0,
                max_total_tokens=self._engine.info.max_model_len,
                summary=wanted.summary,
            )
        except (EngineError, ServerError):
            return []

    def _write_summary(self, effect: Compact, token_ids: list[int]) -> None:
        """Have it written beside the conversation, behind everybody else's work."""
        if not token_ids:
            self._shorten(effect)
            return
        self._num_summaries += 1
        request_id = f"{self._session_id}-summary-{self._num_summaries}"
        wanted = replace(effect.generate, conversation_id="", listener=None)
        service = self._maker.service(wanted, token_ids, priority=BACKGROUND_PRIORITY)
        writing = _Writing(request_id, effect)
        try:
            self._engine.submit(
                request_id,
                token_ids,
                self._summary_params(wanted),
                on_delta=partial(self._on_summary, writing),
                service=service,
            )
        except EngineError:
            self._shorten(effect)
            return
        self._writing = writing

    def _on_summary(self, writing: _Writing, delta: RequestDelta) -> None:
        if self._writing is not writing:
            return  # called off
        writing.pieces.append(delta.text)
        if delta.finish_reason is None:
            return
        self._writing = None
        self._stop_making()
        written = ""
        if delta.finish_reason in (FinishReason.STOP, FinishReason.LENGTH):
            is_whole = delta.finish_reason is FinishReason.STOP
            written = clean_summary("".join(writing.pieces), is_whole=is_whole)
        self._shorten(writing.effect, written)

    def _shorten(self, effect: Compact, written: str = "") -> None:
        """Leave the oldest turns out, with a new summary or the one there was."""
        summary = written or effect.generate.summary
        memory, reply_ids = self._memory.memory, self._memory.reply_ids()
        work = partial(self._compact, effect, memory, reply_ids, summary)
        done = partial(self._swap, effect, self._memory.num_tokens, written)
        self._make(effect.generate, work, done)

    def _compact(
        self, effect: Compact, memory: Memory, reply_ids: list[int], summary: str
    ) -> Memory | None:
        """Pure computation, safe in any thread."""
        wanted = effect.generate
        tokenizer = self._maker.tokenizer(wanted)
        memory = memory.with_reply(reply_ids, tokenizer)
        share = self._share(effect, memory)
        return compact(memory, wanted.messages, tokenizer, share=share, summary=summary)

    def _swap(self, effect: Compact, num_before: int, written: str, memory: Memory | None) -> None:
        """Go on from the shorter memory with the next turn."""
        if memory is None or memory.num_tokens >= num_before:
            if written:
                self._shorten(effect)  # it says more than what it is to replace
            return
        wanted = effect.generate
        self._memory.shorten(memory)
        token_ids = memory.log.token_ids
        service = self._maker.service(wanted, token_ids, priority=BACKGROUND_PRIORITY)
        self._prefill.offer(token_ids, wanted.params, service)
        if written:
            self._listener.on_summarised(written, num_before, len(token_ids))
        else:
            self._listener.on_compacted(num_before, len(token_ids))

    def _share(self, effect: Compact, memory: Memory) -> float:
        """About how much is to stay, so that there is room for the summary, too."""
        wanted, limits = effect.generate, self._state.settings.limits
        # A reply's own length moves the room, but not the mark that this conversation has passed.
        most = min(self._maker.room(wanted), memory.num_tokens / limits.compact_above)
        kept = limits.compact_to * most
        if effect.writes_summary:
            kept -= self._summary_params(wanted).max_tokens or 0
        return max(kept, 0) / memory.num_tokens

    def _has_time_for(self, wanted: Generate) -> bool:
        return ReplyGate(self._state, wanted.tenant).may_look_ahead(self._loop.time())

    def _summary_params(self, wanted: Generate) -> SamplingParams:
        limit = self._state.settings.memory.summary_tokens
        return summary_params(limit, self._maker.room(wanted))

    def _make(
        self,
        wanted: Generate,
        work: Callable[[], _Made],
        done: Callable[[_Made], None],
        *,
        draft: str = "",
    ) -> None:
        """Make something for a later turn, in a thread when it is long; failing does no harm."""
        if self._maker.is_long(wanted, draft):
            self._making = self._loop.create_task(self._make_in_thread(work, done))
            return
        try:
            done(work())
        except (EngineError, ServerError) as error:
            _tell(error)

    async def _make_in_thread(
        self, work: Callable[[], _Made], done: Callable[[_Made], None]
    ) -> None:
        try:
            done(await self._state.prompt_threads.run(work))
        except (EngineError, ServerError) as error:
            _tell(error)


def _tell(error: EngineError | ServerError) -> None:
    logger.debug("nothing was prepared: %s", getattr(error, "code", "error"))
