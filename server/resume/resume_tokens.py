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
class _Issued:
    session_id: str
    principal: str
    newest: bytes
    before: bytes | None = None


class ResumeTokens:
    """The tokens of all sessions that can be come back to; only digests are kept."""

    def __init__(self) -> None:
        """Start with none."""
        self._by_session: dict[str, _Issued] = {}
        self._by_digest: dict[bytes, _Issued] = {}

    def __len__(self) -> int:
        return len(self._by_session)

    def issue(self, session_id: str, principal: str, conversation_id: str) -> str:
        """Make the next token of a session.

        The one before it stays good until ``settle``; those before that are void.
        """
        token = f"{_PREFIX}{secrets.token_urlsafe(_SECRET_BYTES)}.{conversation_id}"
        digest = _digest(token)
        issued = self._by_session.get(session_id)
        if issued is None:
            issued = self._by_session[session_id] = _Issued(session_id, principal, digest)
        else:
            self._drop_before(issued)
            issued.before, issued.newest = issued.newest, digest
        self._by_digest[digest] = issued
        return token

    def find(self, token: str, principal: str) -> str | None:
        """Name the session that a token is for; ``None`` for a token that is void or another's.

        The other token of that session is void from now on: its client has shown what it holds.
        """
        if len(token) > MAX_TOKEN_CHARS:
            return None
        digest = _digest(token)
        issued = self._by_digest.get(digest)
        if issued is None or issued.principal != principal:
            return None
        if digest != issued.newest:
            del self._by_digest[issued.newest]
            issued.newest, issued.before = digest, None
        self._drop_before(issued)
        return issued.session_id

    def refusal(self, token: str, principal: str) -> str:
        """Why ``find`` names no session, in a word for the metrics; it changes nothing.

        Returns:
            ``foreign`` for another's token, ``expired`` for one in the form of ours that is not
            good any more, also after a restart, ``unknown`` for anything else.
        """
        issued = self._by_digest.get(_digest(token)) if len(token) <= MAX_TOKEN_CHARS else None
        if issued is not None and issued.principal != principal:
            return "foreign"
        return "expired" if conversation_of(token) else "unknown"

    def settle(self, session_id: str) -> None:
        """The client has its newest token; the one before is void."""
        issued = self._by_session.get(session_id)
        if issued is not None:
            self._drop_before(issued)

    def revoke(self, session_id: str) -> None:
        """Nobody can come back to a session any more."""
        issued = self._by_session.pop(session_id, None)
        if issued is not None:
            self._drop_before(issued)
            del self._by_digest[issued.newest]

    def check_integrity(self) -> None:
        """Prove that the books agree; for tests."""
        good = {issued.newest for issued in self._by_session.values()}
        good |= {issued.before for issued in self._by_session.values() if issued.before}
        assert good == set(self._by_digest)

    def _drop_before(self, issued: _Issued) -> None:
        if issued.before is not None:
            del self._by_digest[issued.before]
            issued.before = None


def conversation_of(token: str) -> str | None:
    """The conversation that a token speaks of, whether or not it is good for its session."""
    if len(token) > MAX_TOKEN_CHARS or not token.startswith(_PREFIX):
        return None
    secret, dot, conversation_id = token.removeprefix(_PREFIX).partition(".")
    return conversation_id or None if dot and len(secret) == _SECRET_CHARS else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
