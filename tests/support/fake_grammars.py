"""A grammar compiler whose jobs run when the test says so, and which compiles nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from engine.errors import InvalidGrammar
from engine.grammar.compiler import GrammarCompiler
from engine.grammar.state import CompiledGrammar
from engine.sampling_params import Grammar

BAD = "("


def grammar(source: str) -> Grammar:
    """A grammar by its text."""
    return Grammar(kind="regex", source=source)


class FakeCompiling:
    """Gives ``source`` as the compiled form; refuses `BAD`.

    Attributes:
        compiler: The real thing over this.
        jobs: What waits to be run by ``run``.
        compiled: Sources compiled so far, in order.
        num_wakes: How often the compiler said that something is done.
    """

    def __init__(self, *, max_kept: int = 4, max_pending: int = 3) -> None:
        self.jobs: list[Callable[[], None]] = []
        self.compiled: list[str] = []
        self.num_wakes = 0
        self.compiler = GrammarCompiler(
            self._compile, self.jobs.append, max_kept=max_kept, max_pending=max_pending
        )
        self.compiler.on_done = self._wake

    def run(self, count: int | None = None) -> None:
        """Run the oldest jobs, all of them if no number is given."""
        for _ in range(len(self.jobs) if count is None else count):
            self.jobs.pop(0)()

    def _compile(self, wanted: Grammar) -> CompiledGrammar:
        self.compiled.append(wanted.source)
        if wanted.source == BAD:
            raise InvalidGrammar("is bad", "write another")
        if wanted.source == "panic":
            raise KeyboardInterrupt
        return cast(CompiledGrammar, wanted.source)

    def _wake(self) -> None:
        self.num_wakes += 1
