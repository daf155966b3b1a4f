"""How one session is set up: what the server gave it, and what its client has set since."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import UNSET

from server.characters.catalog import ResolvedModel
from server.protocol.character_events import grant_events
from server.protocol.character_objects import ListenerSetting, MemorySetting
from server.protocol.objects import ConversationObject, ResumeObject, SessionObject, SessionPatch
from server.session.context import SessionContext
from server.session.identity import check_identity
from server.session.settings import SessionLimits, SessionSettings
from server.session.view import describe_session


@dataclass(slots=True, kw_only=True)
class Setup:
    """Of one session; changes as its client wishes.

    Attributes:
        session_id: The session's.
        choice: Which model and character it was opened with.
        limits: Bounds.
        context: Everything else from outside.
        settings: What the client can set.
        granted: Names of the extension events that it gets.
    """

    session_id: str
    choice: ResolvedModel
    limits: SessionLimits
    context: SessionContext
    settings: SessionSettings
    granted: frozenset[str] = frozenset()

    def configure(self, patch: SessionPatch) -> None:
        """Apply ``session.update``.

        Raises:
            ProtocolError: A field is refused; nothing is applied.
        """
        check_identity(patch, self.choice, self.context.known_models)
        settings = self.settings.with_session(patch, self.limits, self.context.find_character)
        if patch.character is not UNSET:
            wanted = UNSET if patch.character is None else patch.character.events
            if wanted is not UNSET:
                self.granted = grant_events(wanted or ())
        self.settings = settings

    @property
    def system_text(self) -> str:
        """What the model reads first."""
        return self.settings.system_text(self.granted)

    @property
    def evicts(self) -> bool:
        """Whether the oldest turns may go."""
        return self.settings.truncation != "disabled"

    @property
    def memory(self) -> MemorySetting:
        """What is read in place of turns that are left out, and whether the model writes it."""
        writes = self.settings.writes_summary
        return MemorySetting(
            summary=self.settings.summary or None,
            auto=self.context.writes_summaries if writes is None else writes,
        )

    @property
    def listener(self) -> ListenerSetting:
        """How fast replies are taken in."""
        return self.settings.listener or ListenerSetting(kind=self.context.listener)

    def describe(
        self, conversation: ConversationObject, resume: ResumeObject | None
    ) -> SessionObject:
        """Show it to the client.

        Args:
            conversation: What is said in it.
            resume: How to come back, where that is possible.
        """
        return describe_session(
            self.session_id,
            choice=self.choice,
            settings=self.settings,
            granted_events=self.granted,
            expires_at=self.context.expires_at,
            resume=resume,
            listener=self.listener,
            memory=self.memory,
            conversation=conversation,
            recording=self.context.recording,
        )
