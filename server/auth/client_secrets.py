"""Client secrets: short-lived ``ek_…`` keys that a browser may hold. Pure; time comes in.

They live in this process's memory only, as digests, and hang on the key that made them.
"""

from __future__ import annotations

import math
import secrets
from collections import Counter
from dataclasses import dataclass

import msgspec

from server.auth.keys import digest_of
from server.protocol.objects import SessionPatch

CLIENT_SECRET_PREFIX = "ek_"
MIN_SECRET_S = 10.0
"""That may be asked for; a key that ends sooner makes one that does, too."""
MAX_SECRET_S = 7200.0
MAX_LIVE_SECRETS = 10_000
MAX_SECRETS_BYTES = 16 * 1024 * 1024
"""Of all sessions that live secrets describe, together."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A key for one browser, good for opening sessions until it expires.

    Attributes:
        value: What the browser sends; known to nobody else, not even to us after this.
        expires_at: On the clock that ``now`` came from, in seconds.
    """

    value: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class LiveSecret:
    """What is remembered of a secret.

    Attributes:
        expires_at: Seconds.
        maker: Digest of the key that made it; empty where no key is needed.
        session: What sessions that are opened with it begin with, if anything was said.
        num_bytes: Of ``session`` as JSON.
    """

    expires_at: float
    maker: bytes
    session: SessionPatch | None
    num_bytes: int


class ClientSecrets:
    """The live ones."""

    def __init__(self) -> None:
        self._secrets: dict[bytes, LiveSecret] = {}  # the oldest first
        self._number: Counter[bytes] = Counter()  # by maker
        self._num_bytes: Counter[bytes] = Counter()  # likewise
        self._next_expiry = math.inf

    def mint(
        self, maker: bytes, now: float, *, lifetime_s: float, session: SessionPatch | None
    ) -> ClientSecret:
        """Make a secret that lives for at most 2 h from ``now``.

        When there are too many, or their sessions take too much memory, the oldest of whoever has
        the most go, so that nobody can push another's out.

        Args:
            maker: Digest of the key that asks.
            now: Seconds.
            lifetime_s: Seconds.
            session: What sessions opened with it begin with; checked by the caller.
        """
        if now >= self._next_expiry:
            self._drop_expired(now)
        lifetime_s = min(lifetime_s, MAX_SECRET_S)
        num_bytes = len(msgspec.json.encode(session)) if session is not None else 0
        value = CLIENT_SECRET_PREFIX + secrets.token_urlsafe(24)
        expires_at = now + lifetime_s
        self._secrets[digest_of(value)] = LiveSecret(expires_at, maker, session, num_bytes)
        self._number[maker] += 1
        self._num_bytes[maker] += num_bytes
        self._next_expiry = min(self._next_expiry, expires_at)
        while len(self._secrets) > MAX_LIVE_SECRETS:
            self._drop_oldest_of(self._number)
        while self._num_bytes.total() > MAX_SECRETS_BYTES:
            self._drop_oldest_of(self._num_bytes)
        return ClientSecret(value, expires_at)

    def find(self, digest: bytes, now: float) -> LiveSecret | None:
        """Look one up by its digest; ``None`` where there is none, or none any more."""
        secret = self._secrets.get(digest)
        return secret if secret is not None and now < secret.expires_at else None

    def check_integrity(self) -> None:
        """Prove that what is counted is what there is.

        Raises:
            AssertionError: It is not.
        """
        number, num_bytes = Counter[bytes](), Counter[bytes]()
        for secret in self._secrets.values():
            number[secret.maker] += 1
            num_bytes[secret.maker] += secret.num_bytes
            assert self._next_expiry <= secret.expires_at
        assert (number, +num_bytes) == (self._number, +self._num_bytes)

    def _drop_expired(self, now: float) -> None:
        for digest in [one for one, secret in self._secrets.items() if now >= secret.expires_at]:
            self._drop(digest)
        self._next_expiry = min(
            (one.expires_at for one in self._secrets.values()), default=math.inf
        )

    def _drop_oldest_of(self, taken: Counter[bytes]) -> None:
        """Make the maker who takes the most give way."""
        (greediest, _), *_ = taken.most_common(1)
        self._drop(next(k for k, v in self._secrets.items() if v.maker == greediest))

    def _drop(self, digest: bytes) -> None:
        secret = self._secrets.pop(digest)
        self._number[secret.maker] -= 1
        self._num_bytes[secret.maker] -= secret.num_bytes
        if not self._number[secret.maker]:
            del self._number[secret.maker], self._num_bytes[secret.maker]
