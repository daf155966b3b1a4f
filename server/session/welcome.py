"""What a client hears first when it comes back, and when it could not."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import UNSET

from server.conversation.conversation import Conversation
from server.errors import ProtocolError
from server.protocol.character_events import CharacterSessionResumed, is_granted
from server.protocol.objects import ResumeObject, SessionObject
from server.protocol.server_events import ServerEvent, SessionCreated
from server.resume.gap import Gap
from server.session.floor import Floor
from server.session.retelling import retell


def not_resumed() -> ProtocolError:
    """Nobody waits for a token; said behind the greeting of the new session."""
    return ProtocolError(
        "session_not_resumed",
        "no session waits for this token: its time is over, it has ended, or the server was "
        "started anew; this session is new, so set it up again, and look at "
        "session.conversation for what was kept of the conversation",
        param="resume",
    )


def welcome_back(
    resume: ResumeObject,
    *,
    from_event_id: str | None,
    num_waiting: int,
    gap: Gap | None,
    conversation: Conversation,
    floor: Floor,
    granted: frozenset[str],
    describe: Callable[[ResumeObject], SessionObject],
) -> list[ServerEvent]:
    """Greet a client that has come back.

    Args:
        resume: How to come back again.
        from_event_id: The last event that it has seen, as it said.
        num_waiting: How many events are to be told behind the greeting.
        gap: What it has missed for good, if anything.
        conversation: Whose items are told anew behind a gap.
        floor: Knows those that are being written.
        granted: Names of the extension events that it gets.
        describe: Shows the session.

    Returns:
        What to tell it before anything else; how many events follow counts these in.
    """
    retold = [] if gap is None else retell(conversation, floor, gap)
    news = CharacterSessionResumed(
        from_event_id=from_event_id, replayed=num_waiting + len(retold), gap=gap is not None
    )
    told = [news, *retold] if is_granted(news, granted) else retold
    resume = msgspec.structs.replace(
        resume,
        resumed=True,
        replayed=num_waiting + len(told),
        gap=gap is not None,
        all_items=UNSET if gap is None else gap.items is None,
    )
    return [SessionCreated(session=describe(resume)), *told]
