"""Where requests wait for their grammar before the scheduler hears of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.errors import QueueFull, RequestError
from engine.grammar.compiler import GrammarCompiler
from engine.request import EngineRequest, RequestUpdate
from engine.sampling_params import Grammar

Submitted = EngineRequest | RequestUpdate

_RETRY_AFTER_S = 1.0


@dataclass(slots=True)
class _Held:
    submitted: Submitted
    error: RequestError | None
    waits_for: Grammar | None


class GrammarGate:
    """Holds requests back while their grammars compile, each request's news in order behind it.

    Args:
        compiler: Is used by nobody else for submitting and polling.
        max_held: Requests and updates that may wait here; further ones are refused.
    """

    def __init__(self, compiler: GrammarCompiler, *, max_held: int = 1024) -> None:
        self._compiler = compiler
        self._max_held = max_held
        self._held: dict[str, list[_Held]] = {}

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._held

    @property
    def num_held(self) -> int:
        """Requests and updates that wait here."""
        return sum(map(len, self._held.values()))

    @property
    def has_pending(self) -> bool:
        """Whether anything waits here."""
        return bool(self._held)

    @property
    def has_ready(self) -> bool:
        """Whether ``take_ready`` may give something back."""
        return self._compiler.has_news

    def when_ready(self, wake: Callable[[], object]) -> None:
        """Call something, in another thread, whenever ``has_ready`` becomes true."""
        self._compiler.on_done = wake

    def compile(self, grammar: Grammar) -> None:
        """Compile a grammar in the calling thread, so that it passes later.

        Raises:
            InvalidGrammar: It cannot be compiled.
        """
        self._compiler.compiled(grammar)

    def admit(self, submitted: Submitted) -> bool:
        """Let something pass, or keep it.

        Args:
            submitted: A request, or an update of one that may itself still be here.

        Returns:
            Whether it may go on at once. If not, ``take_ready`` gives it back.

        Raises:
            InvalidGrammar: Its grammar was tried before, and refused.
            QueueFull: Too much waits here, or too many grammars wait to be compiled.
        """
        grammar = _grammar(submitted)
        earlier = self._held.get(submitted.request_id)
        is_resumed = isinstance(submitted, EngineRequest) and submitted.is_resumed
        if earlier is None and (grammar is None or self._submit(grammar, is_resumed)):
            return True
        if self.num_held >= self._max_held and not is_resumed:
            raise QueueFull(self.num_held, self._max_held, _RETRY_AFTER_S)
        pending = grammar is not None and not self._submit(grammar, is_resumed)
        held = _Held(submitted, None, grammar if pending else None)
        self._held.setdefault(submitted.request_id, []).append(held)
        return False

    def _submit(self, grammar: Grammar, is_resumed: bool) -> bool:
        return self._compiler.submit(grammar, is_bounded=not is_resumed)

    def take_ready(self) -> list[tuple[Submitted, RequestError | None]]:
        """Give back what no longer waits for anything, in the order it came for each request.

        Something with an error must be refused, and ends its request; what came behind it for the
        same request is dropped.
        """
        news = self._compiler.poll()
        if not news:
            return []
        ready: list[tuple[Submitted, RequestError | None]] = []
        for request_id in list(self._held):
            queue = self._held[request_id]
            for held in queue:
                if held.waits_for in news:
                    held.error, held.waits_for = news[held.waits_for], None
            while queue and queue[0].waits_for is None:
                held = queue.pop(0)
                ready.append((held.submitted, held.error))
                if held.error is not None:
                    queue.clear()
            if not queue:
                del self._held[request_id]
        return ready

    def cancel(self, request_id: str) -> list[Submitted]:
        """Drop all that waits here for a request; return it, oldest first.

        The first is the `EngineRequest` itself if the scheduler has not heard of it yet. The
        grammar goes on being compiled: it may be asked for again.
        """
        return [held.submitted for held in self._held.pop(request_id, [])]


def _grammar(submitted: Submitted) -> Grammar | None:
    return None if submitted.params is None else submitted.params.grammar
