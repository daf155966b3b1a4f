"""What a session is told of the world when it begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from engine.tool_dialect import HERMES, ToolDialect
from server.session.character_settings import FindCharacter


def _nobody(_character_id: str) -> None:
    return None


class CheckReply(Protocol):
    """Refuses replies that are too much at this moment."""

    def __call__(self, max_tokens: int | None, now: float, *, takes_over: bool) -> None:
        """Let a reply of so many tokens begin, or not.

        Args:
            max_tokens: Of the reply; ``None`` where that is open.
            now: Seconds.
            takes_over: Whether another reply of the session ends for it.

        Raises:
            ProtocolError: It may not.
        """
        ...


def _let_everything(max_tokens: int | None, now: float, *, takes_over: bool) -> None:
    """Nobody counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionContext:
    """What the session is told of the world.

    Attributes:
        cache_salt: Prompts share memory only under the same salt.
        expires_at: Unix time at which the session ends, for show; ``None`` for never.
        known_models: Names that ``session.model`` may be meant to switch to, which is refused. Any
            other name is what a client calls its model by habit (agents SDKs send ``gpt-realtime``
            in every update), and is passed over. ``None`` refuses every name but the session's.
        missing_conversation: The URL's ``?conversation=``, where nothing of that name was found.
        check_reply: Asked before each reply that the model is to write.
        asked_to_resume: The URL had ``?resume=``, for which no session waits.
        tenant: Whose requests these are; those of different tenants take turns.
        listener: How replies are taken in where the client does not say.
        eager_prefill: Whether prompts are read before a reply is asked for.
        high_water_tokens: Of the conversation, above which it is compacted; ``None`` for never.
        writes_summaries: Whether the model sums up what it will not read any more, where the client
            does not say.
        tool_dialect: How the model writes the call of a tool.
        find_character: Looks up characters that the client may name.
        recording: What is kept of the session's words, for show; ``None`` where it is not recorded.
        clock: Seconds from any start, to bound what patterns of lorebooks take.
    """

    cache_salt: str = ""
    tenant: str = ""
    listener: str = "reading"
    eager_prefill: bool = False
    high_water_tokens: int | None = None
    writes_summaries: bool = False
    tool_dialect: ToolDialect = HERMES
    find_character: FindCharacter = _nobody
    clock: Callable[[], float] = lambda: 0.0
    expires_at: int | None = None
    known_models: frozenset[str] | None = None
    missing_conversation: str | None = None
    check_reply: CheckReply = _let_everything
    asked_to_resume: bool = False
    recording: str | None = None
