"""API keys as the server holds them: a digest, a name, what it opens, for how long and how much.

A key is 256 random bits (`new_key`), so one pass of SHA-256 is as good a lock as a slow hash would
be: nobody guesses such a key, however fast the guesses are. Slow hashes are for what people choose.
"""

from __future__ import annotations

import enum
import hashlib
import re
from dataclasses import dataclass, fields

ANONYMOUS = "anonymous"
"""The principal when no keys are configured."""

KEY_PREFIX = "kw_"
"""New keys begin with this, so that scanners for leaked secrets can tell them."""

KEY_BYTES = 32
"""Random bytes of a new key."""

HASH_PREFIX = "sha256:"
"""What stands in a key file before the hexadecimal digest of a key."""

MIN_KEY_CHARS = 20
"""A shorter key may have been chosen by a person, and then its digest can be guessed."""

UNNAMED_PREFIX = "key:"
"""The principal of a key without a name is this and its digest; names hold no colon."""

_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


class Scope(enum.StrEnum):
    """What a key may be used for; each route asks for one, or for none."""

    REALTIME = "realtime"
    """Open Realtime sessions, make client secrets for them, watch the engine live."""
    CHAT = "chat"
    """Chat completions."""
    CHARACTERS_WRITE = "characters:write"
    """Send and delete character cards."""
    CONVERSATIONS = "conversations"
    """List, read and erase one's own kept conversations."""
    METRICS = "metrics"
    """Read ``/metrics`` from another machine."""
    ADMIN = "admin"
    """See what an operator sees of everybody; never given unless it is named."""


DEFAULT_SCOPES = frozenset(Scope) - {Scope.ADMIN}
"""Of a key that names none, and of everybody where no key is needed."""

INSUFFICIENT_SCOPE = "insufficient_scope"
"""The error code where a good key lacks a scope (RFC 6750 section 3.1)."""

SECRET_SCOPES = frozenset({Scope.REALTIME})
"""What a client secret can have at most; the key that made it may have less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLimits:
    """What one principal may take; ``None`` leaves a limit to the server's settings."""

    max_connections: int | None = None
    """WebSocket connections at a time."""
    max_concurrent_responses: int | None = None
    """Replies that are written or wait at a time."""
    requests_per_min: int | None = None
    """Replies asked for per minute."""
    tokens_per_min: int | None = None
    """Tokens of prompts and replies together, per minute."""

    def __post_init__(self) -> None:
        """Refuse what would let nothing through: a key is withdrawn by taking it out.

        Raises:
            ValueError: A limit is below 1; the message names it.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value < 1:
                raise ValueError(f"{field.name} is {value}; it must be 1 or more")


NO_LIMITS = KeyLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One key.

    Attributes:
        name: Whose it is; several keys of one name are one principal.
        digest: SHA-256 of the key, 32 bytes.
        scopes: What it may be used for.
        limits: What its principal may take.
        not_before: Unix seconds from which it is good, if that is bounded.
        expires: Unix seconds from which it is good no more, if ever.
    """

    name: str
    digest: bytes
    scopes: frozenset[Scope] = DEFAULT_SCOPES
    limits: KeyLimits = NO_LIMITS
    not_before: float | None = None
    expires: float | None = None

    def has_begun(self, now: float) -> bool:
        """Whether it is good already."""
        return self.not_before is None or now >= self.not_before

    def has_expired(self, now: float) -> bool:
        """Whether it is good no more."""
        return self.expires is not None and now >= self.expires

    def is_good(self, now: float) -> bool:
        """Whether it opens anything now."""
        return self.has_begun(now) and not self.has_expired(now)


def tenant_of(principal: str, address: str) -> str:
    """Who takes turns with others, and has limits: a principal, or an address without keys."""
    return address if principal == ANONYMOUS else principal


def cache_salt_of(principal: str) -> str:
    """With whom a prompt's cached tokens are shared: nobody else, or all where no key is needed."""
    return "" if principal == ANONYMOUS else principal


def new_key(randomness: bytes) -> str:
    """Spell a fresh key from ``KEY_BYTES`` random bytes."""
    if len(randomness) != KEY_BYTES:
        raise ValueError(f"a key takes {KEY_BYTES} random bytes, not {len(randomness)}")
    return KEY_PREFIX + randomness.hex()


def missing_scope(scope: Scope) -> str:
    """What to tell somebody whose key lacks a scope."""
    return (
        f"this API key may not do that: it lacks the scope {scope}; ask whoever runs the server to "
        "add it, or use another key"
    )


def digest_of(key: str) -> bytes:
    """What is kept of a key: SHA-256 of its UTF-8."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def hash_text(digest: bytes) -> str:
    """A digest as it stands in a key file."""
    return HASH_PREFIX + digest.hex()


def parse_hash(text: str) -> bytes:
    """Read what ``hash_text`` wrote.

    Raises:
        ValueError: It is no such thing. The message does not repeat it, since it may be a key.
    """
    digits = text.removeprefix(HASH_PREFIX)
    if digits == text or _DIGEST.fullmatch(digits) is None:
        raise ValueError(
            f"a hash is {HASH_PREFIX} and 64 hexadecimal digits; `kaiwa key hash` makes one"
        )
    return bytes.fromhex(digits)


def unnamed_principal(digest: bytes) -> str:
    """Who a key without a name belongs to; the same wherever its line stands."""
    return UNNAMED_PREFIX + digest.hex()
