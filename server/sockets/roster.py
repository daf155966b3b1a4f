"""Everybody who is connected: a session for each socket, a watchful eye, and a way home."""

from __future__ import annotations

import secrets
import time
from functools import partial

from server.auth import ANONYMOUS
from server.conversation.prompt import MAX_REPLY_RESERVE, room_for_prompt
from server.errors import ConversationNotFound, ProtocolError
from server.protocol.close_codes import CloseCode
from server.session.context import SessionContext
from server.session.session import Session
from server.session.settings import SessionLimits
from server.sockets.arrivals import RealtimeConnection
from server.sockets.connection import Connection
from server.sockets.history import History
from server.sockets.wire import SocketWire
from server.state import ServerState
from server.store.interface import StoredConversation


class Roster:
    """The live connections of one server."""

    def __init__(self, state: ServerState) -> None:
        """Start with nobody."""
        self._state = state
        self._connections: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def num_replies(self) -> int:
        """Replies that are being written for somebody."""
        return sum(len(connection.replies) for connection in self._connections)

    async def serve(self, socket: RealtimeConnection) -> None:
        """Run one session from an admitted, open socket to its end."""
        admission, engine = socket.admission, self._state.engine
        assert admission is not None
        if engine is None:  # admission saw one, so it was lost this very moment
            await socket.close(CloseCode.TRY_AGAIN_LATER, "The server is not ready.")
            return
        settings = self._state.settings
        limits = settings.limits
        is_anonymous = admission.principal == ANONYMOUS
        room = room_for_prompt(
            engine.info.max_model_len, MAX_REPLY_RESERVE, limits.max_prompt_tokens
        )
        wanted = admission.query.get("conversation") or None
        stored = await self._load(admission.principal, wanted)
        session = Session(
            f"sess_{secrets.token_hex(8)}",
            choice=admission.model,
            limits=SessionLimits(vocab_size=engine.info.vocab_size),
            granted_events=frozenset(admission.query.get("events", "").split(",")),
            context=SessionContext(
                cache_salt="" if is_anonymous else admission.principal,
                tenant=_address_of(socket) if is_anonymous else admission.principal,
                eager_prefill=limits.eager_prefill,
                listener=settings.pacing.listener,
                high_water_tokens=int(limits.compact_above * room),
                writes_summaries=settings.memory.auto_summary,
                expires_at=int(time.time() + limits.max_session_s),
                known_models=frozenset(self._state.catalog.model_names_of(admission.principal)),
                missing_conversation=wanted if stored is None else None,
                asked_to_resume="resume" in admission.query,
                tool_dialect=engine.tokenizer.tool_dialect,
                find_character=partial(self._state.catalog.find, principal=admission.principal),
                clock=time.thread_time,
            ),
        )
        patience = self._state.settings.drain.close_timeout_s
        wire = SocketWire(socket, close_timeout_s=patience)
        try:
            if admission.session is not None:
                session.configure(admission.session)
        except ProtocolError as error:
            await wire.close(CloseCode.POLICY_VIOLATION, f"The client secret: {error.message}")
            return
        if stored is not None:
            session.restore(stored.head.id, stored.entries, stored.summary)
        history = History(
            session, self._state.store, admission.principal, is_known=stored is not None
        )
        connection = Connection(wire, session, self._state, engine, history)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    async def _load(self, principal: str, wanted: str | None) -> StoredConversation | None:
        """The conversation that is to be gone on with, if there is one."""
        store = self._state.store
        if wanted is None or store is None:
            return None
        try:
            return await store.load(principal, wanted)
        except ConversationNotFound:
            return None

    def watch(self, now: float) -> None:
        """Look for readers that have stalled."""
        for connection in list(self._connections):
            connection.watch(now)

    def close_all(self, code: CloseCode, reason: str, error: ProtocolError) -> None:
        """Begin to close every connection; replies that still run end with ``error``."""
        for connection in list(self._connections):
            connection.close(code, reason, error=error)


def _address_of(socket: RealtimeConnection) -> str:
    """Where a client without a key comes from: all that tells it from others."""
    peer = socket.remote_address
    return str(peer[0]) if peer else ""
