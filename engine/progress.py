"""Shows that a model is being loaded: a bar for people, a few lines for logs."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

logger = logging.getLogger(__name__)

LOG_EVERY = 0.25
"""Share of the whole between two log lines."""


class LoadProgress:
    """A callable ``(share, phrase)`` to hand to the engine; a context manager around its use."""

    def __init__(self, *, is_terminal: bool | None = None) -> None:
        """Choose the bar when standard error is a terminal."""
        if is_terminal is None:
            is_terminal = sys.stderr.isatty()
        self._next_line = 0.0
        self._bar: Progress | None = None
        if is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("loading", total=1.0)

    def __enter__(self) -> LoadProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, share: float, phrase: str) -> None:
        """Show that ``share`` of the work is done and what is done next."""
        if self._bar is not None:
            self._bar.update(self._task, completed=share, description=phrase)
        elif share >= self._next_line:
            logger.info("loading: %d %%, %s", round(share * 100), phrase)
            self._next_line = share + LOG_EVERY
