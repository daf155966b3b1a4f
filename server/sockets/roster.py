"""Everybody who is here: a live session for each client, with a socket or waiting for one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from engine.outputs import EngineNews, EngineStatus
from server.auth.authenticator import Credential
from server.auth.keys import Scope
from server.errors import ProtocolError, StoreUnavailable
from server.protocol.character_events import CharacterEngine, CharacterSessionGoingAway
from server.protocol.close_codes import CloseCode
from server.resume.resume_tokens import ResumeTokens
from server.sockets.admission import Admission
from server.sockets.connection import Connection
from server.sockets.live_session import LiveSession, Return
from server.sockets.opening import conversation_wanted, open_session
from server.sockets.owners import RealtimeConnection
from server.sockets.wire import Socket, SocketWire
from server.state import ServerState

CLOSE_BATCH = 200
"""Sockets that are closed at once at the end, so that not everybody comes back in one moment."""
_BATCH_PAUSE_S = 0.05
RESTARTS = "The server restarts; come back in a few seconds."
"""Said with 1012."""
_LAST_WORDS_S = 0.1

KEY_ENDED = ProtocolError(
    "api_key_ended", "this session's API key has expired or was taken away; come with another"
)
"""How replies end whose key does."""


class Roster:
    """The live sessions of one server."""

    def __init__(self, state: ServerState) -> None:
        """Start with nobody."""
        self._state = state
        self._connections: set[Connection] = set()
        self._live: dict[str, LiveSession] = {}
        self._having: dict[str, set[LiveSession]] = {}  # by conversation
        self._credentials: dict[str, Credential] = {}  # by session id: what its client last showed
        self._parked: dict[str, str] = {}  # tenant by session id
        self._parked_of: dict[str, dict[str, None]] = {}  # session ids by tenant, oldest first
        self._tokens = ResumeTokens()

    def __len__(self) -> int:
        return len(self._live)

    @property
    def num_replies(self) -> int:
        """Replies that are being written for somebody, with or without a socket."""
        return sum(len(live.replies) for live in self._live.values())

    async def serve(self, socket: RealtimeConnection) -> None:
        """Run an admitted, open socket to its end: a new session's, or one that is come back to."""
        assert socket.admission is not None
        patience = self._state.settings.drain.close_timeout_s
        wire = SocketWire(socket, close_timeout_s=patience)
        await self.serve_socket(wire, socket.admission, _address_of(socket))

    async def serve_socket(self, wire: Socket, admission: Admission, address: str) -> None:
        """The same for any socket.

        Args:
            wire: Open.
            admission: What its handshake came to.
            address: Where the client comes from: all that tells one without a key from others.
        """
        token = admission.query.get("resume")
        session_id = self._tokens.find(token, admission.principal) if token else None
        if session_id is not None:
            await self._come_back(wire, admission, self._live[session_id], address)
            return
        if token is not None:
            why = self._tokens.refusal(token, admission.principal)
            self._state.metrics.resumes.labels(why).inc()
        await self._begin(wire, admission, address)

    async def _begin(self, wire: Socket, admission: Admission, address: str) -> None:
        state, engine = self._state, self._state.engine
        if state.is_draining:
            await wire.close(CloseCode.SERVICE_RESTART, RESTARTS)
            return
        if engine is None:  # admission saw one, so it was lost this very moment
            await wire.close(CloseCode.TRY_AGAIN_LATER, "The server is not ready.")
            return
        await self._make_way(admission)
        try:
            session, history, recording = await open_session(state, engine, admission, address)
        except StoreUnavailable:
            await wire.close(CloseCode.TRY_AGAIN_LATER, "The conversation cannot be read now.")
            return
        except ProtocolError as error:
            await wire.close(CloseCode.POLICY_VIOLATION, f"The client secret: {error.message}")
            return
        live = LiveSession(
            session, state, engine, history, recording=recording, on_end=self._forget
        )
        self._live[session.id] = live
        self._having.setdefault(session.conversation.id, set()).add(live)
        self._credentials[session.id] = admission.credential
        connection = Connection(wire, live, state)
        token = None
        if state.settings.resume.window_s:
            token = self._issue(live, admission.principal)
        live.greet(connection, token)
        if engine.health().is_recovering:
            live.tell(CharacterEngine(status="recovering"))
        await self._run(connection, live, admission, address)

    async def _make_way(self, admission: Admission) -> None:
        """End the session that has the conversation now which another one is to go on with.

        What it has said is safe before the other one reads it. Sessions elsewhere, and those that
        are being opened this moment, are held off by the store.
        """
        name = conversation_wanted(admission)
        if name is None or self._state.store is None:
            return
        for live in list(self._having.get(name, ())):
            is_own = self._credentials[live.session.id].principal == admission.principal
            if is_own and len(live.session.conversation):
                live.give_way()
                await live.safe()

    async def _come_back(
        self, wire: Socket, admission: Admission, live: LiveSession, address: str
    ) -> None:
        session_id = live.session.id
        self._unpark(session_id)
        self._credentials[session_id] = admission.credential
        token = self._issue(live, admission.principal)
        connection = Connection(
            wire, live, self._state, on_reached=lambda: self._tokens.settle(session_id)
        )
        has_gap = live.come_back(connection, Return(admission.query.get("last_event_id"), token))
        self._state.metrics.resumes.labels("gap" if has_gap else "resumed").inc()
        await self._run(connection, live, admission, address)

    async def _run(
        self, connection: Connection, live: LiveSession, admission: Admission, address: str
    ) -> None:
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
            # An earlier socket may end only now; the session waits for who came by the later one.
            if live.parked_since is not None and live.session.id not in self._parked:
                self._park(live, admission.tenant(address))

    def watch(self, now: float) -> None:
        """Look for readers that have stalled."""
        for live in list(self._live.values()):
            live.watch(now)

    def recheck(self, now: float) -> None:
        """End the sessions whose key opens none any more, with a socket or without.

        Args:
            now: Unix seconds; keys expire by the calendar.
        """
        for session_id, credential in list(self._credentials.items()):
            if not self._state.auth.is_still_good(credential, now, Scope.REALTIME):
                live = self._live[session_id]
                live.close(CloseCode.AUTHENTICATION_ENDED, KEY_ENDED.message, error=KEY_ENDED)

    def go_away(self, time_left_s: float) -> None:
        """Tell everybody who wants to know that the server is about to stop."""
        time_left_ms = int(time_left_s * 1000)
        for live in list(self._live.values()):
            live.tell(CharacterSessionGoingAway(time_left_ms=time_left_ms, reason="restart"))

    def tell_of_engine(self, news: EngineNews) -> None:
        """Tell everybody who wants to know that replies pause, or go on.

        An engine that is given up closes every socket; there is no event for that.
        """
        match news.status:
            case EngineStatus.RECOVERING:
                event = CharacterEngine(status="recovering")
            case EngineStatus.READY:
                event = CharacterEngine(status="ready")
            case EngineStatus.LOST:
                return
        for live in list(self._live.values()):
            live.tell(event)

    async def close_all(
        self,
        code: CloseCode,
        reason: str,
        error: ProtocolError,
        *,
        is_hurried: Callable[[], bool] = lambda: False,
    ) -> None:
        """End every session, and close the sockets in batches; replies that run end with ``error``.

        Every reply is ended first, so that none is written on while others are sent home.

        Args:
            code: Close code.
            reason: For people.
            error: How replies end.
            is_hurried: Once it is true nothing is waited for but last words.
        """
        sessions = list(self._live.values())
        random.shuffle(sessions)
        for index, live in enumerate(sessions):
            live.close(code, reason, error=error)
            if index % CLOSE_BATCH == CLOSE_BATCH - 1 and not is_hurried():
                await asyncio.sleep(_BATCH_PAUSE_S)
        closings = {asyncio.create_task(one.closed()) for one in list(self._connections)}
        loop, pending = asyncio.get_running_loop(), closings
        deadline = loop.time() + self._state.settings.drain.close_timeout_s
        while pending and loop.time() < deadline:
            _, pending = await asyncio.wait(pending, timeout=_LAST_WORDS_S)
            if is_hurried():
                break
        for closing in pending:
            closing.cancel()

    def _issue(self, live: LiveSession, principal: str) -> str:
        session = live.session
        return self._tokens.issue(session.id, principal, session.conversation.id)

    def _park(self, live: LiveSession, tenant: str) -> None:
        self._parked[live.session.id] = tenant
        self._parked_of.setdefault(tenant, {})[live.session.id] = None
        while len(self._parked) > self._state.settings.resume.max_parked:
            most = max(self._parked_of.values(), key=len)
            self._live[next(iter(most))].end()
        self._state.metrics.parked.set(len(self._parked))

    def _unpark(self, session_id: str) -> None:
        tenant = self._parked.pop(session_id, None)
        if tenant is None:
            return
        own = self._parked_of[tenant]
        del own[session_id]
        if not own:
            del self._parked_of[tenant]
        self._state.metrics.parked.set(len(self._parked))

    def _forget(self, live: LiveSession) -> None:
        session_id = live.session.id
        self._live.pop(session_id, None)
        conversation_id = live.session.conversation.id
        if having := self._having.get(conversation_id):
            having.discard(live)
            if not having:
                del self._having[conversation_id]
        self._credentials.pop(session_id, None)
        self._tokens.revoke(session_id)
        self._unpark(session_id)


def _address_of(socket: RealtimeConnection) -> str:
    peer = socket.remote_address
    return str(peer[0]) if peer else ""
