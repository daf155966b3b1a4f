"""What is written behind a user's message for the model alone: lore, context, instructions.

It is decided when the message is put into the conversation, and stays there; so every prompt begins
with the whole prompt and reply before it, and what was computed for them holds.
"""

from __future__ import annotations

from collections.abc import Callable

from server.characters.persona import Persona
from server.conversation.conversation import Conversation
from server.conversation.entries import Entry
from server.conversation.said import length_behind, questions, spoken
from server.lore.context_notes import ContextNotes
from server.lore.lore import Lore
from server.lore.note import NoteWriter
from server.lore.scene import Scene, as_written
from server.session.character_settings import CharacterSettings


class Notes:
    """The notes of one session."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Start with none.

        Args:
            clock: Seconds from any start, to bound what patterns of lorebooks take.
        """
        self._clock = clock
        self._writer = NoteWriter()
        self._persona: Persona | None = None
        self._books: Lore | None = None
        self._num_turns = 0
        self._num_forgotten = 0

    @property
    def context(self) -> ContextNotes:
        """What the client tells."""
        return self._writer.context

    def read(self, conversation: Conversation, num_turns: int) -> None:
        """Note how many of the user's messages the next prompt will surely hold.

        Args:
            conversation: As it is.
            num_turns: Of its newest messages.
        """
        self._num_forgotten = max(0, len(questions(conversation.entries)) - num_turns)

    def write(self, entry: Entry, conversation: Conversation, cast: CharacterSettings) -> list[str]:
        """Put a note behind a user's message that is about to enter the conversation at its end.

        Args:
            entry: The message; it gets the note.
            conversation: Without it.
            cast: Who speaks.

        Returns:
            Names of the lore entries that came up.
        """
        self._follow(cast)
        self._num_turns += 1
        entries = [*conversation.entries, entry]
        post_history = self._writer.post_history.item_id
        scene = Scene(
            said=spoken(entries),
            item_id=entry.id,
            turn=self._num_turns,
            standing=questions(entries)[self._num_forgotten :],
            greeting=cast.greeting_index,
            hidden=cast.persona.hidden if cast.persona else (),
            fill=cast.persona.fill if cast.persona else as_written,
        )
        entry.add_note(
            self._writer.compose(
                scene,
                instructions=cast.persona.post_history if cast.persona else "",
                num_read_since=length_behind(entries, post_history) if post_history else None,
            )
        )
        return [woken.name or woken.id for woken in self._writer.woken]

    def _follow(self, cast: CharacterSettings) -> None:
        """Take other books up when others speak; what stands already stays where it is."""
        if cast.persona is not self._persona:
            self._persona = cast.persona
            books = cast.persona.books if cast.persona else ()
            self._books = Lore(books, seed=cast.seed, clock=self._clock) if books else None
        self._writer.lore = self._books if cast.has_lore else None
