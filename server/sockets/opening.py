"""Makes a session of an admitted handshake: new, or going on with a conversation that was kept."""

from __future__ import annotations

import secrets
import time
from functools import partial

from server.auth.keys import cache_salt_of
from server.conversation.prompt import MAX_REPLY_RESERVE, room_for_prompt
from server.engine_port import EnginePort
from server.errors import ConversationNotFound
from server.recording.writer import Recording
from server.resume.resume_tokens import conversation_of
from server.session.context import SessionContext
from server.session.session import Session
from server.session.settings import SessionLimits
from server.sockets.admission import RECORD, Admission
from server.sockets.history import History
from server.sockets.reply_gate import ReplyGate
from server.state import ServerState
from server.store.interface import StoredConversation


async def open_session(
    state: ServerState, engine: EnginePort, admission: Admission, address: str
) -> tuple[Session, History, Recording | None]:
    """Make a session, who keeps its conversation, and who records it, if it is recorded.

    Args:
        state: Shared with every room.
        engine: Who will write.
        admission: What the handshake came to.
        address: Where the client comes from.

    Raises:
        StoreUnavailable: The conversation that is to be gone on with cannot be read now.
        ProtocolError: What the client secret has settled cannot be applied.
    """
    settings, principal = state.settings, admission.principal
    limits = settings.limits
    room = room_for_prompt(engine.info.max_model_len, MAX_REPLY_RESERVE, limits.max_prompt_tokens)
    session_id = f"sess_{secrets.token_hex(8)}"
    stored = await _take_over(state, admission, session_id)
    wanted = admission.query.get("conversation") or None
    ends_at = time.time() + limits.max_session_s
    if admission.credential.expires is not None:
        ends_at = min(ends_at, admission.credential.expires)
    recording = _record(state, admission, session_id)
    session = Session(
        session_id,
        choice=admission.model,
        limits=SessionLimits(vocab_size=engine.info.vocab_size),
        granted_events=frozenset(admission.query.get("events", "").split(",")),
        context=SessionContext(
            cache_salt=cache_salt_of(principal),
            tenant=admission.tenant(address),
            eager_prefill=limits.eager_prefill,
            listener=settings.pacing.listener,
            high_water_tokens=int(limits.compact_above * room),
            writes_summaries=settings.memory.auto_summary,
            expires_at=int(ends_at),
            known_models=frozenset(state.catalog.model_names_of(principal)),
            missing_conversation=wanted if stored is None else None,
            check_reply=ReplyGate(state, admission.tenant(address)).check,
            asked_to_resume="resume" in admission.query,
            tool_dialect=engine.tokenizer.tool_dialect,
            find_character=partial(state.catalog.find, principal=principal),
            recording=None if recording is None else recording.text,
            clock=time.thread_time,
        ),
    )
    if admission.session is not None:
        session.configure(admission.session)
    if stored is not None:
        session.restore(stored.head.id, stored.entries, stored.summary, stored.note)
    history = History(session, state.store, principal, is_known=stored is not None)
    return session, history, recording


def conversation_wanted(admission: Admission) -> str | None:
    """The conversation that a client wants to go on with.

    A session that is not there any more, after a restart, has left its conversation at least.
    """
    query = admission.query
    return query.get("conversation") or conversation_of(query.get("resume", ""))


def _record(state: ServerState, admission: Admission, session_id: str) -> Recording | None:
    if state.recorder is None:
        return None
    character = admission.model.character
    return state.recorder.begin(
        session_id,
        None if character is None else character.id,
        admission.query.get(RECORD),
    )


async def _take_over(
    state: ServerState, admission: Admission, session_id: str
) -> StoredConversation | None:
    conversation_id = conversation_wanted(admission)
    if conversation_id is None or state.store is None:
        return None
    try:
        return await state.store.take_over(admission.principal, conversation_id, session_id)
    except ConversationNotFound:
        return None
