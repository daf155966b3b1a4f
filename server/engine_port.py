"""The door through which the server knows an engine: submit, cancel, one stream of steps, health.

``engine.async_engine.AsyncEngine`` is one implementation; tests and, one day, a set of replicas
are others. Nothing above this room may assume a local engine, or a single one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from engine.chat_template import ChatMessage
from engine.outputs import EngineHealth, EngineInfo, EngineNews, RequestDelta, StepStats
from engine.request import DEFAULT_SERVICE, Service
from engine.sampling_params import SamplingParams
from engine.tool_dialect import Tool, ToolDialect

DeltaListener = Callable[[RequestDelta], None]
StepListener = Callable[[StepStats], None]
StatusListener = Callable[[EngineNews], None]


class Tokenizer(Protocol):
    """The part of a tokenizer that the server uses; pure computation, safe in any thread."""

    @property
    def tool_dialect(self) -> ToolDialect:
        """How the model writes the call of a tool."""
        ...

    def encode_chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        tools: Sequence[Tool] = (),
        add_generation_prompt: bool = True,
    ) -> list[int]:
        """Render messages with the model's chat template and return token ids."""
        ...

    def encode_plain(self, text: str) -> list[int]:
        """Tokenise text; special tokens written in it stay plain text."""
        ...


class MarkingTokenizer(Tokenizer, Protocol):
    """What it takes beside to append to a prompt; see ``engine.tokenizer`` on marked text."""

    def mark_chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        tools: Sequence[Tool] = (),
        add_generation_prompt: bool = True,
    ) -> str:
        """Render messages to marked text."""
        ...

    def encode_marked(self, text: str, begin: int = 0) -> list[int]:
        """Encode marked text from a place on."""
        ...

    def prompt_cuts(self, text: str, token_ids: Sequence[int]) -> list[tuple[int, int]]:
        """Find where a prompt may be cut: ``(length of the text, number of tokens)`` before."""
        ...

    def spell(self, token_ids: Sequence[int]) -> tuple[str, list[tuple[int, int]]]:
        """Write a reply's tokens as marked text, with the places where it may be cut."""
        ...


class EnginePort(Protocol):
    """What the server asks of an engine."""

    @property
    def info(self) -> EngineInfo:
        """What the engine said of itself when it started."""
        ...

    @property
    def tokenizer(self) -> MarkingTokenizer:
        """The model's tokenizer."""
        ...

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

        ``on_delta`` is called on the event loop, synchronously with all others of the same step,
        and never from within ``submit``. Its last call carries a ``finish_reason``: a refusal
        comes as a delta with ``error`` too, so that there is one way to hear of the end.

        Raises:
            EngineDead: The engine is gone.
        """
        ...

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
        ...

    def report_playback(self, request_id: str, num_chars: int) -> None:
        """Say how many code points of a reply's text its listener has read or heard."""
        ...

    def release_conversation(self, conversation_id: str) -> None:
        """Say that a conversation will not go on; its KV is kept no longer than any other."""
        ...

    def cancel(self, request_id: str) -> None:
        """Call a request off; its terminal delta follows with ``abort`` and no more text.

        An unknown or finished id is ignored.
        """
        ...

    def add_step_listener(self, listener: StepListener) -> Callable[[], None]:
        """Hear of every step; the returned function unsubscribes."""
        ...

    def add_status_listener(self, listener: StatusListener) -> Callable[[], None]:
        """Hear when the engine is lost, back, or given up; the returned function unsubscribes.

        While it is being started anew, requests are taken and wait, and live ones go on after.
        """
        ...

    def health(self) -> EngineHealth:
        """Whether the engine lives and makes progress."""
        ...
