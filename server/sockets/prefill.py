"""One session's request whose prompt is not whole yet, so that only its end is left to compute.

There is one at most. It is grown while what is said grows, becomes the reply's own request when the
reply's prompt begins with it, and is called off when it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from engine.errors import EngineError
from engine.outputs import RequestDelta
from engine.request import Service
from engine.sampling_params import SamplingParams
from server.engine_port import EnginePort

MIN_TOKENS = 16
"""Less is not worth a step of its own."""


@dataclass(slots=True)
class Opened:
    """A request that waits for the rest of its prompt.

    Attributes:
        request_id: Its name at the engine.
        token_ids: What it has of the prompt.
        service: How it is served.
        reply_id: Whose reply it has become, once it has.
    """

    request_id: str
    token_ids: list[int]
    service: Service
    reply_id: str | None = None


class Prefill:
    """The one such request of a session."""

    def __init__(
        self, engine: EnginePort, session_id: str, on_delta: Callable[[RequestDelta], None]
    ) -> None:
        """Start with none.

        Args:
            engine: Who computes.
            session_id: Names of requests begin with it.
            on_delta: Hears of a request that has become a reply's, under the reply's name.
        """
        self._engine = engine
        self._session_id = session_id
        self._on_delta = on_delta
        self._opened: Opened | None = None
        self._num_opened = 0

    def offer(self, token_ids: Sequence[int], params: SamplingParams, service: Service) -> None:
        """Have what is certain of a prompt computed, as far as it is more than there is.

        Args:
            token_ids: The prompt's beginning.
            params: Any that the engine takes; the reply brings its own.
            service: As for the reply.
        """
        opened = self._opened
        if opened is not None and opened.service == service and _begins(opened, token_ids):
            rest = token_ids[len(opened.token_ids) :]
            if len(rest) >= MIN_TOKENS:
                opened.token_ids += rest
                self._engine.append(opened.request_id, rest)
            return
        self.drop()
        if not token_ids:
            return
        self._num_opened += 1
        opened = Opened(f"{self._session_id}-ahead-{self._num_opened}", list(token_ids), service)

        def on_delta(delta: RequestDelta) -> None:
            self._hear(opened, delta)

        try:
            self._engine.submit(
                opened.request_id,
                token_ids,
                params,
                on_delta=on_delta,
                service=msgspec.structs.replace(service, is_final=False),
            )
        except EngineError:
            return  # the reply itself will be told
        self._opened = opened

    def take(
        self, reply_id: str, token_ids: Sequence[int], params: SamplingParams, service: Service
    ) -> str | None:
        """Make the request a reply's own, if the prompt begins with it.

        Args:
            reply_id: Under which its deltas are passed on.
            token_ids: The whole prompt.
            params: The reply's.
            service: How the reply is to be served.

        Returns:
            The request's name at the engine; ``None`` if there is none that fits, and then none
            is left.
        """
        opened = self._opened
        fits = (
            opened is not None
            and _is_served_alike(opened.service, service)
            and len(opened.token_ids) < len(token_ids)
            and _begins(opened, token_ids)
        )
        if opened is None or not fits:
            self.drop()
            return None
        self._opened = None
        opened.reply_id = reply_id
        rest = token_ids[len(opened.token_ids) :]
        self._engine.append(opened.request_id, rest, params=params, is_final=True)
        return opened.request_id

    def drop(self) -> None:
        """Call it off, if there is one."""
        if self._opened is not None:
            self._engine.cancel(self._opened.request_id)
            self._opened = None

    def _hear(self, opened: Opened, delta: RequestDelta) -> None:
        if opened.reply_id is not None:
            self._on_delta(msgspec.structs.replace(delta, request_id=opened.reply_id))
        elif delta.finish_reason is not None and self._opened is opened:
            self._opened = None  # refused, or the engine is gone


def _begins(opened: Opened, token_ids: Sequence[int]) -> bool:
    return list(token_ids[: len(opened.token_ids)]) == opened.token_ids


def _is_served_alike(one: Service, other: Service) -> bool:
    """Whether the difference does not matter; a listener's pace is measured anew all the time."""
    return (one.priority, one.cache_salt, one.tenant, one.conversation_id) == (
        other.priority,
        other.cache_salt,
        other.tenant,
        other.conversation_id,
    )
