"""What one session's model has read, and the reply that is being written behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from server.conversation.memory import Memory


class WorkingMemory:
    """Changes with every prompt that is submitted, and every token of the conversation's reply.

    Attributes:
        memory: As of the last prompt; replaced, never changed.
    """

    def __init__(self, on_read: Callable[[int], None]) -> None:
        """Start with nothing.

        Args:
            on_read: Told how many of the user's newest messages the model reads from now on,
                whenever there is another memory.
        """
        self.memory = Memory()
        self._on_read = on_read
        self._reply_ids: list[int] = []  # sampled behind the memory's prompt
        self._writing = ""  # the reply that they belong to

    @property
    def num_tokens(self) -> int:
        """Prompt and reply so far."""
        return self.memory.num_tokens + len(self._reply_ids)

    def reply_ids(self) -> list[int]:
        """The reply so far; the caller's own list."""
        return list(self._reply_ids)

    def begin(self, request_id: str, memory: Memory) -> None:
        """A reply is being written: the model has read this prompt."""
        self._replace(memory)
        self._writing = request_id

    def shorten(self, memory: Memory) -> None:
        """Go on from a shorter memory; nothing is being written."""
        self._replace(memory)
        self._writing = ""

    def add(self, request_id: str, token_ids: Sequence[int]) -> None:
        """Take note of sampled tokens, if they are of the reply that is written."""
        if request_id == self._writing:
            self._reply_ids += token_ids

    def stop(self, request_id: str) -> None:
        """A reply was called off: what still comes of it is not said."""
        if self._writing == request_id:
            self._writing = ""

    def _replace(self, memory: Memory) -> None:
        self.memory, self._reply_ids = memory, []
        self._on_read(memory.num_turns)
