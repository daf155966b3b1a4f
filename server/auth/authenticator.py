"""Says whose a key is and what it opens, now and while its sessions last. Pure; time comes in.

Keys are held as SHA-256 digests and compared in constant time, every one of them on every check, so
that neither a memory dump nor a stopwatch tells much. A token is looked at as a whole and never
parsed: one that calls itself a JWT with ``alg: none`` is an unknown key like any other.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from hmac import compare_digest

from server.auth.client_secrets import ClientSecret, ClientSecrets
from server.auth.keys import (
    ANONYMOUS,
    DEFAULT_SCOPES,
    NO_LIMITS,
    SECRET_SCOPES,
    ApiKey,
    KeyLimits,
    Scope,
    digest_of,
)
from server.protocol.objects import SessionPatch


class BadKeyCode(enum.StrEnum):
    """Why a key was refused. The last two are told only to who holds the key itself."""

    INVALID_API_KEY = "invalid_api_key"
    """There is none, or it is unknown."""
    API_KEY_EXPIRED = "api_key_expired"
    API_KEY_NOT_YET_VALID = "api_key_not_yet_valid"


_BAD_KEY_MESSAGES = {
    BadKeyCode.INVALID_API_KEY: (
        "this API key is not known here; check it with whoever runs the server"
    ),
    BadKeyCode.API_KEY_EXPIRED: (
        "this API key has expired; ask whoever runs the server for a new one"
    ),
    BadKeyCode.API_KEY_NOT_YET_VALID: (
        "this API key is not valid yet; wait, or check the server's clock with whoever runs it"
    ),
}


class BadKey(Exception):
    """A key that opens nothing.

    Attributes:
        code: Why.
        message: For people.
    """

    def __init__(self, code: BadKeyCode, message: str | None = None) -> None:
        self.code = code
        self.message = message or _BAD_KEY_MESSAGES[code]
        super().__init__(self.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A key, or a client secret, that was shown and found good.

    Attributes:
        principal: Whose it is.
        scopes: What it may be used for.
        key: Digest of the key, or of the key that made the secret; empty where none is needed.
        expires: Unix seconds from which the key is good no more, if ever, as far as known now.
        is_secret: Whether a client secret was shown.
        session: What the secret has settled for sessions that are opened with it.
    """

    principal: str = ANONYMOUS
    scopes: frozenset[Scope] = DEFAULT_SCOPES
    key: bytes = b""
    expires: float | None = None
    is_secret: bool = False
    session: SessionPatch | None = None


class Authenticator:
    """Knows the keys."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        """Hold keys; without any, everybody is welcome."""
        self._secrets = ClientSecrets()
        self.replace_keys(keys)

    def replace_keys(self, keys: Iterable[ApiKey]) -> None:
        """Know these from now on, and no others; live client secrets stay, if their key does."""
        self._keys = tuple(keys)
        self._by_digest = {key.digest: key for key in self._keys}
        self._limits = {key.name: key.limits for key in self._keys}

    @property
    def requires_key(self) -> bool:
        """Whether a key is needed at all."""
        return bool(self._keys)

    @property
    def keys(self) -> tuple[ApiKey, ...]:
        """All, good or not."""
        return self._keys

    @property
    def principals(self) -> tuple[str, ...]:
        """All whom a key can belong to, each once."""
        return tuple(dict.fromkeys(key.name for key in self._keys)) or (ANONYMOUS,)

    def limits_of(self, principal: str) -> KeyLimits:
        """What a principal may take; nothing of its own where it is unknown or anonymous."""
        return self._limits.get(principal, NO_LIMITS)

    def authenticate(self, key: str | None, now: float) -> Credential:
        """Find out whose a key or client secret is.

        With no keys configured anything is accepted, so that SDKs that insist on a key work.

        Args:
            key: As it was shown, if one was.
            now: Unix seconds.

        Raises:
            BadKey: It opens nothing.
        """
        digest = digest_of(key or "")
        known = None
        for candidate in self._keys:
            if compare_digest(candidate.digest, digest):
                known = candidate
        secret = self._secrets.find(digest, now)
        session = None if secret is None else secret.session
        if not self._keys:
            return Credential(is_secret=secret is not None, session=session)
        if not key:
            raise BadKey(
                BadKeyCode.INVALID_API_KEY,
                "an API key is needed; send it as Authorization: Bearer <key>",
            )
        if secret is not None:
            known = self._by_digest.get(secret.maker)
        if known is None:
            raise BadKey(BadKeyCode.INVALID_API_KEY)
        if not known.has_begun(now):
            raise BadKey(BadKeyCode.API_KEY_NOT_YET_VALID)
        if known.has_expired(now):
            raise BadKey(BadKeyCode.API_KEY_EXPIRED)
        return Credential(
            principal=known.name,
            scopes=known.scopes if secret is None else known.scopes & SECRET_SCOPES,
            key=known.digest,
            expires=known.expires,
            is_secret=secret is not None,
            session=session,
        )

    def is_still_good(self, credential: Credential, now: float, scope: Scope | None = None) -> bool:
        """Whether what was opened with a credential may go on.

        A client secret need not live any more, as OpenAI has it; the key that made it must.

        Args:
            credential: As ``authenticate`` gave it.
            now: Unix seconds.
            scope: What the key must still be allowed.
        """
        if not self._keys:
            return True
        key = self._by_digest.get(credential.key)
        if key is None or key.name != credential.principal or not key.is_good(now):
            return False
        return scope is None or scope in key.scopes

    def mint(
        self,
        credential: Credential,
        now: float,
        *,
        lifetime_s: float = 600.0,
        session: SessionPatch | None = None,
    ) -> ClientSecret:
        """Make a client secret for whoever holds ``credential``; see `ClientSecrets.mint`.

        It is not promised for longer than the key is good.
        """
        if credential.expires is not None:
            lifetime_s = min(lifetime_s, credential.expires - now)
        return self._secrets.mint(credential.key, now, lifetime_s=lifetime_s, session=session)
