"""A scripted engine behind the same door as the real one: it says one reply, token by token.

A token is a character. Every step serves each live request once, as the real engine does, and
hands all deltas of a step out together. With ``step_s`` the clock of the loop paces the steps; with
0 they follow each other as fast as the loop turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.chat_template import ChatMessage
from engine.errors import EngineDead
from engine.outputs import (
    EngineHealth,
    EngineInfo,
    EngineNews,
    EngineStatus,
    LossCause,
    RequestDelta,
    StepStats,
)
from engine.request import DEFAULT_SERVICE, FinishReason, Service
from engine.sampling_params import SamplingParams
from engine.tool_dialect import HERMES, Tool, ToolDialect
from server.engine_port import DeltaListener, StatusListener, StepListener

NUM_BLOCKS = 1024


class FakeTokenizer:
    """One token per character; the template is ``<role>content`` and a closing ``<assistant>``."""

    @property
    def tool_dialect(self) -> ToolDialect:
        """Hermes'."""
        return HERMES

    def encode_chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        tools: Sequence[Tool] = (),
        add_generation_prompt: bool = True,
    ) -> list[int]:
        """Render and encode."""
        return self.encode_plain(
            self.mark_chat(messages, tools=tools, add_generation_prompt=add_generation_prompt)
        )

    def mark_chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        tools: Sequence[Tool] = (),
        add_generation_prompt: bool = True,
    ) -> str:
        """Render; there is no control token to be marked."""
        text = "".join(f"<tool {tool.name}>" for tool in tools)
        for message in messages:
            text += f"<{message.role}>{message.content}{HERMES.write(message.tool_calls)}"
        return text + "<assistant>" * add_generation_prompt

    def encode_marked(self, text: str, begin: int = 0) -> list[int]:
        """Encode the rest."""
        return self.encode_plain(text[begin:])

    def prompt_cuts(self, text: str, token_ids: Sequence[int]) -> list[tuple[int, int]]:
        """None but the end."""
        return []

    def spell(self, token_ids: Sequence[int]) -> tuple[str, list[tuple[int, int]]]:
        """Decode; any place will do."""
        text = "".join(map(chr, token_ids))
        return text, [(at, at) for at in range(1, len(text) + 1)]

    def encode_plain(self, text: str) -> list[int]:
        """Encode."""
        return [ord(character) for character in text]


@dataclass
class _Live:
    listener: DeltaListener
    reply: Sequence[str]
    num_prompt_tokens: int
    is_cut: bool = False
    is_final: bool = True
    position: int = 0
    is_cancelled: bool = False


@dataclass
class FakeEngine:
    """Says ``reply`` to everybody.

    Attributes:
        reply: The whole reply; a request may be cut short by ``max_tokens``.
        step_s: Loop seconds between two steps.
        chars_per_step: Tokens that one step brings each request.
        is_alive: When false, submissions raise and nothing more is said.
        is_stuck: When true, requests stay live and nothing is said.
        obeys_max_tokens: Whether a request's ``max_tokens`` cuts the reply.
        refuse_with: Code with which every request ends at once.
        refuse_param: The parameter that such an end names.
        retry_after_s: What such an end says of coming back.
        prompts: Token ids of every submission, by request id.
        services: How each submission wanted to be served, by request id.
        cancelled: Ids that were called off, in order.
        heard: ``(request id, code points)`` of every playback report, in order.
        released: Conversations that will not go on, in order.
    """

    reply: str = "Hello there."
    step_s: float = 0.0
    chars_per_step: int = 1
    max_model_len: int = 4096
    is_alive: bool = True
    is_stuck: bool = False
    obeys_max_tokens: bool = True
    refuse_with: str | None = None
    refuse_param: str | None = None
    retry_after_s: float | None = None
    seconds_since_progress: float = 0.0
    prompts: dict[str, list[int]] = field(default_factory=dict)
    params: dict[str, SamplingParams] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    heard: list[tuple[str, int]] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    _live: dict[str, _Live] = field(default_factory=dict)
    _step_listeners: list[StepListener] = field(default_factory=list)
    _status_listeners: list[StatusListener] = field(default_factory=list)
    _is_recovering: bool = False
    _timer: asyncio.Handle | None = None
    _step: int = 0

    @property
    def info(self) -> EngineInfo:
        """A small model."""
        return EngineInfo(
            model="fake",
            architecture="Fake",
            dtype="float32",
            device="cpu",
            vocab_size=0x110000,
            max_model_len=self.max_model_len,
            eos_token_ids=[0],
            num_blocks=NUM_BLOCKS,
            block_size=16,
            kv_bytes_per_token=1,
            max_num_seqs=64,
            max_num_batched_tokens=512,
        )

    @property
    def tokenizer(self) -> FakeTokenizer:
        """One token per character."""
        return FakeTokenizer()

    @property
    def num_live(self) -> int:
        """Requests that have not ended."""
        return len(self._live)

    def submit(
        self,
        request_id: str,
        prompt_token_ids: Sequence[int],
        params: SamplingParams,
        *,
        on_delta: DeltaListener,
        service: Service = DEFAULT_SERVICE,
    ) -> None:
        """Take a request; its first delta comes with a later turn of the loop."""
        if not self.is_alive:
            raise EngineDead("the engine is gone")
        self.prompts[request_id] = list(prompt_token_ids)
        self.params[request_id] = params
        self.services[request_id] = service
        live = _Live(on_delta, (), len(prompt_token_ids), is_final=service.is_final)
        self._live[request_id] = live
        if live.is_final:
            self._choose_reply(request_id, live)
        self._arm()

    def append(
        self,
        request_id: str,
        token_ids: Sequence[int],
        *,
        params: SamplingParams | None = None,
        is_final: bool = False,
    ) -> None:
        """Put more tokens behind a prompt; the reply begins when it is final."""
        live = self._live.get(request_id)
        if live is None or live.is_cancelled:
            return
        self.prompts[request_id] += token_ids
        live.num_prompt_tokens += len(token_ids)
        live.is_final = is_final
        if params is not None:
            self.params[request_id] = params
        if is_final:
            self._choose_reply(request_id, live)
        self._arm()

    def report_playback(self, request_id: str, num_chars: int) -> None:
        """Take note."""
        self.heard.append((request_id, num_chars))

    def release_conversation(self, conversation_id: str) -> None:
        """Take note."""
        self.released.append(conversation_id)

    def cancel(self, request_id: str) -> None:
        """Call a request off; the terminal delta comes with the next step."""
        live = self._live.get(request_id)
        if live is not None and not live.is_cancelled:
            live.is_cancelled = True
            self.cancelled.append(request_id)
            self._arm()

    def reply_to(self, prompt_token_ids: Sequence[int]) -> Sequence[str]:
        """What it says to a prompt, token by token."""
        return self.reply

    def add_step_listener(self, listener: StepListener) -> Callable[[], None]:
        """Hear of every step."""
        self._step_listeners.append(listener)
        return lambda: self._step_listeners.remove(listener)

    def add_status_listener(self, listener: StatusListener) -> Callable[[], None]:
        """Hear of ``stumble``, ``rise`` and ``die``."""
        self._status_listeners.append(listener)
        return lambda: self._status_listeners.remove(listener)

    def health(self) -> EngineHealth:
        """As the test has set it."""
        reason = "" if self.is_alive else "the engine is gone"
        return EngineHealth(
            self.is_alive,
            reason,
            self.num_live,
            self.seconds_since_progress,
            is_recovering=self._is_recovering,
        )

    def stumble(self, cause: LossCause = LossCause.DIED) -> None:
        """Lose the engine for a while: nobody gets a token until it is back."""
        self._is_recovering = self.is_stuck = True
        self._tell(EngineNews(EngineStatus.RECOVERING, cause))

    def rise(self, cause: LossCause = LossCause.DIED, recovery_s: float = 1.0) -> None:
        """Be back; live requests go on."""
        self._is_recovering = self.is_stuck = False
        self._tell(EngineNews(EngineStatus.READY, cause, recovery_s))
        if self._live:
            self._arm()

    def die(self, code: str = "engine_dead") -> None:
        """Lose the engine: every live request ends with an error."""
        self.is_alive = False
        self._tell(EngineNews(EngineStatus.LOST))
        for request_id, live in list(self._live.items()):
            self._end(request_id, live, FinishReason.ERROR, code)

    async def aclose(self) -> None:
        """End; live requests end with ``abort``."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.is_alive = False
        for request_id, live in list(self._live.items()):
            self._end(request_id, live, FinishReason.ABORT)

    def _choose_reply(self, request_id: str, live: _Live) -> None:
        reply = self.reply_to(self.prompts[request_id])
        most = self.params[request_id].max_tokens if self.obeys_max_tokens else None
        live.reply = reply[:most]
        live.is_cut = len(live.reply) < len(reply)

    def _tell(self, news: EngineNews) -> None:
        for listener in list(self._status_listeners):
            listener(news)

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.step_s, self._run_step)

    def _run_step(self) -> None:
        self._timer = None
        for request_id, live in list(self._live.items()):
            self._advance(request_id, live)
        self._step += 1
        stats = StepStats(
            step=self._step,
            time_s=asyncio.get_running_loop().time(),
            duration_s=self.step_s,
            num_running=len(self._live),
            num_waiting=0,
            prefill_tokens=0,
            decode_tokens=len(self._live),
            joined=[],
            left=[],
            kv_blocks_used=len(self._live),
            kv_blocks_cached=0,
            kv_blocks_total=NUM_BLOCKS,
            batch=[],
        )
        for listener in list(self._step_listeners):
            listener(stats)
        if any(live.is_final for live in self._live.values()) and not self.is_stuck:
            self._arm()

    def _advance(self, request_id: str, live: _Live) -> None:
        if live.is_cancelled:
            self._end(request_id, live, FinishReason.ABORT)
        elif self.refuse_with is not None:
            self._end(request_id, live, FinishReason.ERROR, self.refuse_with)
        elif self.is_stuck or not live.is_final:
            return
        elif live.position >= len(live.reply):
            reason = FinishReason.LENGTH if live.is_cut else FinishReason.STOP
            self._end(request_id, live, reason)
        else:
            pieces = live.reply[live.position : live.position + self.chars_per_step]
            live.position += len(pieces)
            live.listener(self._delta(request_id, live, pieces))

    def _end(
        self, request_id: str, live: _Live, reason: FinishReason, code: str | None = None
    ) -> None:
        del self._live[request_id]
        live.listener(self._delta(request_id, live, reason=reason, code=code))

    def _delta(
        self,
        request_id: str,
        live: _Live,
        pieces: Sequence[str] = (),
        *,
        reason: FinishReason | None = None,
        code: str | None = None,
    ) -> RequestDelta:
        return RequestDelta(
            request_id=request_id,
            text="".join(pieces),
            token_ids=[ord(piece[0]) for piece in pieces],
            finish_reason=reason,
            num_prompt_tokens=live.num_prompt_tokens,
            num_output_tokens=live.position,
            error_code=code,
            error_param=None if code is None else self.refuse_param,
            error_message=None if code is None else "the scripted engine was told to fail",
            retry_after_s=None if code is None else self.retry_after_s,
        )
