"""Who may come back to which session: tokens that change hands once, bound to a key.

A token names one session of one principal, and is good for one return. Each greeting brings the
next one. A greeting can be lost with its socket, so the token before stays good until the client
has shown that it has read the greeting, or has come back with the newer one.

A token ends in the name of the conversation: a server that does not know it any more, because it
was started anew, can at least go on with what was kept.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

_PREFIX = "res_"
_SECRET_BYTES = 16  # 128 bits
_SECRET_CHARS = 22  # of those in base64
MAX_TOKEN_CHARS = 256


@dataclass(slots=True)
class _Ticket:
    session_id: str
    principal: str
    newest: bytes
    before: bytes | None = None


class Tickets:
    """The tokens of all sessions that can be come back to; only digests are kept."""

    def __init__(self) -> None:
        """Start with none."""
        self._by_session: dict[str, _Ticket] = {}
        self._by_digest: dict[bytes, _Ticket] = {}

    def __len__(self) -> int:
        return len(self._by_session)

    def issue(self, session_id: str, principal: str, conversation_id: str) -> str:
        """Make the next token of a session.

        The one before it stays good until ``settle``; those before that are void.
        """
        token = f"{_PREFIX}{secrets.token_urlsafe(_SECRET_BYTES)}.{conversation_id}"
        digest = _digest(token)
        ticket = self._by_session.get(session_id)
        if ticket is None:
            ticket = self._by_session[session_id] = _Ticket(session_id, principal, digest)
        else:
            self._drop_before(ticket)
            ticket.before, ticket.newest = ticket.newest, digest
        self._by_digest[digest] = ticket
        return token

    def find(self, token: str, principal: str) -> str | None:
        """Name the session that a token is for; ``None`` for a token that is void or another's.

        The other token of that session is void from now on: its client has shown what it holds.
        """
        if len(token) > MAX_TOKEN_CHARS:
            return None
        digest = _digest(token)
        ticket = self._by_digest.get(digest)
        if ticket is None or ticket.principal != principal:
            return None
        if digest != ticket.newest:
            del self._by_digest[ticket.newest]
            ticket.newest, ticket.before = digest, None
        self._drop_before(ticket)
        return ticket.session_id

    def refusal(self, token: str, principal: str) -> str:
        """Why ``find`` names no session, in a word for the metrics; it changes nothing.

        Returns:
            ``foreign`` for another's token, ``expired`` for one in the form of ours that is not
            good any more, also after a restart, ``unknown`` for anything else.
        """
        ticket = self._by_digest.get(_digest(token)) if len(token) <= MAX_TOKEN_CHARS else None
        if ticket is not None and ticket.principal != principal:
            return "foreign"
        return "expired" if conversation_of(token) else "unknown"

    def settle(self, session_id: str) -> None:
        """The client has its newest token; the one before is void."""
        ticket = self._by_session.get(session_id)
        if ticket is not None:
            self._drop_before(ticket)

    def revoke(self, session_id: str) -> None:
        """Nobody can come back to a session any more."""
        ticket = self._by_session.pop(session_id, None)
        if ticket is not None:
            self._drop_before(ticket)
            del self._by_digest[ticket.newest]

    def check_integrity(self) -> None:
        """Prove that the books agree; for tests."""
        good = {ticket.newest for ticket in self._by_session.values()}
        good |= {ticket.before for ticket in self._by_session.values() if ticket.before}
        assert good == set(self._by_digest)

    def _drop_before(self, ticket: _Ticket) -> None:
        if ticket.before is not None:
            del self._by_digest[ticket.before]
            ticket.before = None


def conversation_of(token: str) -> str | None:
    """The conversation that a token speaks of, whether or not it is good for its session."""
    if len(token) > MAX_TOKEN_CHARS or not token.startswith(_PREFIX):
        return None
    secret, dot, conversation_id = token.removeprefix(_PREFIX).partition(".")
    return conversation_id or None if dot and len(secret) == _SECRET_CHARS else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
