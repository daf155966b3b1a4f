"""What each session says, in words, made before the run so that nothing is made during it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from clients.replay.script import ScriptError, Session

MOST_TOKENS = 500_000_000
"""Of all words that are made for one run; they take some gigabytes."""


class TextSource(Protocol):
    """Makes words for scripts that have none."""

    def opening(self, session: Session) -> str:
        """The persona's prompt."""
        ...

    def turn(self, session: Session, index: int) -> str:
        """What a turn says."""
        ...


@dataclass(frozen=True, slots=True)
class SessionTexts:
    """Openings by persona and length, and turns by session.

    Attributes:
        openings: By persona and its tokens.
        turns: By session id, in order.
    """

    openings: dict[str, str] = field(default_factory=dict)
    turns: dict[str, list[str]] = field(default_factory=dict)

    def opening(self, session: Session) -> str:
        """The persona's prompt; empty for none."""
        return self.openings[_persona(session)]

    def turn(self, session: Session, index: int) -> str:
        """What a turn says."""
        return self.turns[session.session_id][index]


def make_texts(sessions: Sequence[Session], source: TextSource) -> SessionTexts:
    """Make all words of a workload.

    Raises:
        ScriptError: They would fill the memory.
    """
    personas = {_persona(one): one.persona_tokens for one in sessions if not one.persona_text}
    wanted = sum(personas.values()) + sum(
        turn.input_tokens for session in sessions for turn in session.turns if not turn.text
    )
    if wanted > MOST_TOKENS:
        raise ScriptError(
            f"the prompts of {len(sessions)} sessions have {wanted} tokens, {MOST_TOKENS} are the "
            "most; take fewer sessions (--limit) or shorter prompts (--lengths)"
        )
    texts = SessionTexts()
    for session in sessions:
        persona = _persona(session)
        if persona not in texts.openings:
            texts.openings[persona] = source.opening(session)
        texts.turns[session.session_id] = [
            source.turn(session, index) for index in range(len(session.turns))
        ]
    return texts


def _persona(session: Session) -> str:
    return f"{session.persona} {session.persona_tokens}"
