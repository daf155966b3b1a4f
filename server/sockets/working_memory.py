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
            on_read: Told how many of the user's newest messages the next prompt will surely hold,
                whenever that may have changed.
        """
        self.memory = Memory()
        self._on_read = on_read
        self._reply_ids: list[int] = []  # sampled behind the memory's prompt
        self._writing = ""  # the reply that they belong to
        self._room = 0  # tokens that a prompt may have

    @property
    def num_tokens(self) -> int:
        """Prompt and reply so far."""
        return self.memory.num_tokens + len(self._reply_ids)

    def reply_ids(self) -> list[int]:
        """The reply so far; the caller's own list."""
        return list(self._reply_ids)

    def begin(self, request_id: str, memory: Memory, *, room: int) -> None:
        """A reply is being written: the model has read this prompt.

        Args:
            request_id: The reply's.
            memory: With the prompt.
            room: Tokens that a prompt may have.
        """
        self._room = room
        self._replace(memory)
        self._writing = request_id

    def end(self, request_id: str) -> None:
        """A reply is whole; the next prompt may have less room for what was before."""
        if self._writing == request_id:
            self._tell()

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
        self._tell()

    def _tell(self) -> None:
        num_said = len(self._reply_ids)
        self._on_read(self.memory.lasting_turns(self._room, num_reply_tokens=num_said))
