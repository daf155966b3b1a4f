"""What the engine is to read before a reply is asked for."""

from __future__ import annotations

from server.session.effects import Discard, Effect, Generate, Prepare


class Ahead:
    """Knows whether something was prepared, so that it can be given up."""

    def __init__(self, *, is_wanted: bool) -> None:
        """Start with nothing; where it is not wanted, nothing is ever prepared."""
        self.is_wanted = is_wanted
        self._has_prepared = False

    def prepare(self, generate: Generate | None, draft: str = "") -> list[Effect]:
        """Have what is certain of the next prompt read.

        Args:
            generate: What would be asked for now; ``None`` if it would be refused.
            draft: What the user is typing behind it.
        """
        if generate is None or not generate.messages:
            return []
        self._has_prepared = True
        return [Prepare(generate, draft)]

    def discard(self) -> list[Effect]:
        """Give it up: the next prompt will be another."""
        if not self._has_prepared:
            return []
        self._has_prepared = False
        return [Discard()]

    def expect(self) -> None:
        """Something else is being made for a later turn."""
        self._has_prepared = True

    def take(self) -> None:
        """A reply has been asked for, and what was prepared is its beginning."""
        self._has_prepared = False
