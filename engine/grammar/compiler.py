"""Compiled grammars by what they say: kept, compiled elsewhere, or refused.

Three threads meet here: the one that plans asks and polls, the one that samples takes what was
compiled, and the one that compiles puts its result where polling picks it up.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable

from engine.errors import InvalidGrammar, QueueFull
from engine.grammar.state import CompiledGrammar
from engine.sampling_params import Grammar

logger = logging.getLogger(__name__)

Compile = Callable[[Grammar], CompiledGrammar]
RunLater = Callable[[Callable[[], None]], object]

_RETRY_AFTER_S = 1.0


class GrammarCompiler:
    """Compiles off the step loop and keeps what was used last.

    Grammars that were refused are kept as well: asking again costs nothing.

    Args:
        compile_one: Compiles a grammar or raises `InvalidGrammar`; called by ``run_later``.
        run_later: Runs a job in another thread, in the order given.
        max_kept: Grammars kept; the one unused for longest goes.
        max_pending: Different grammars that may wait to be compiled; further ones are refused.

    Attributes:
        on_done: Called in the other thread when there is something to ``poll``.
    """

    def __init__(
        self,
        compile_one: Compile,
        run_later: RunLater,
        *,
        max_kept: int = 256,
        max_pending: int = 64,
    ) -> None:
        self.on_done: Callable[[], object] = lambda: None
        self._compile_one = compile_one
        self._run_later = run_later
        self._max_kept = max_kept
        self._max_pending = max_pending
        self._lock = threading.Lock()
        self._kept: OrderedDict[Grammar, CompiledGrammar | InvalidGrammar] = OrderedDict()
        self._pending: set[Grammar] = set()
        self._done: queue.SimpleQueue[tuple[Grammar, CompiledGrammar | InvalidGrammar]]
        self._done = queue.SimpleQueue()

    @property
    def num_pending(self) -> int:
        """Grammars that are not compiled yet, or not polled."""
        return len(self._pending)

    @property
    def has_news(self) -> bool:
        """Whether there is something to ``poll``."""
        return not self._done.empty()

    def submit(self, grammar: Grammar, *, is_bounded: bool = True) -> bool:
        """See to it that a grammar will be compiled.

        Args:
            grammar: Which.
            is_bounded: Refuse when too many wait; not for a request that was accepted before.

        Returns:
            Whether it already is.

        Raises:
            InvalidGrammar: It was tried before, and refused.
            QueueFull: Too many others wait to be compiled.
        """
        known = self._find(grammar)
        if isinstance(known, InvalidGrammar):
            raise known.with_traceback(None)
        if known is not None:
            return True
        if grammar not in self._pending:
            if is_bounded and len(self._pending) >= self._max_pending:
                raise QueueFull(len(self._pending), self._max_pending, _RETRY_AFTER_S)
            self._pending.add(grammar)
            self._run_later(lambda: self._compile(grammar))
        return False

    def poll(self) -> dict[Grammar, InvalidGrammar | None]:
        """Take in what was compiled since; the error of each that was refused."""
        news: dict[Grammar, InvalidGrammar | None] = {}
        while True:
            try:
                grammar, result = self._done.get_nowait()
            except queue.Empty:
                return news
            self._pending.discard(grammar)
            self._keep(grammar, result)
            news[grammar] = result if isinstance(result, InvalidGrammar) else None

    def compiled(self, grammar: Grammar) -> CompiledGrammar:
        """Return a grammar that was submitted and found good.

        One that has fallen out since is compiled again here and now: a few milliseconds, once.

        Raises:
            InvalidGrammar: It cannot be compiled.
        """
        known = self._find(grammar)
        if known is None:
            known = _attempt(self._compile_one, grammar)
            self._keep(grammar, known)
        if isinstance(known, InvalidGrammar):
            raise known.with_traceback(None)
        return known

    def _compile(self, grammar: Grammar) -> None:
        self._done.put((grammar, _attempt(self._compile_one, grammar)))
        self.on_done()

    def _find(self, grammar: Grammar) -> CompiledGrammar | InvalidGrammar | None:
        with self._lock:
            known = self._kept.get(grammar)
            if known is not None:
                self._kept.move_to_end(grammar)
            return known

    def _keep(self, grammar: Grammar, result: CompiledGrammar | InvalidGrammar) -> None:
        with self._lock:
            self._kept[grammar] = result
            self._kept.move_to_end(grammar)
            while len(self._kept) > self._max_kept:
                self._kept.popitem(last=False)


def _attempt(compile_one: Compile, grammar: Grammar) -> CompiledGrammar | InvalidGrammar:
    try:
        return compile_one(grammar)
    except InvalidGrammar as error:
        return error.with_traceback(None)
    except BaseException as error:  # a panic of native code is no Exception
        logger.error("compiling a grammar of %d bytes: %s", len(grammar.source), type(error))
        return InvalidGrammar("could not be compiled", "write it otherwise")
