"""Who is asking: API keys, short-lived client secrets and browser origins. Pure; time comes in.

Keys are held as SHA-256 digests and compared in constant time, every one of them on every check, so
that neither a memory dump nor a stopwatch tells much. ``X-Forwarded-For`` and ``Host`` are never
asked who somebody is.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engine.errors import ConfigError
from server.config import AuthConfig, ListenConfig
from server.protocol.objects import SessionPatch

REALTIME_SUBPROTOCOL = "realtime"
"""The one subprotocol that is echoed when a browser offers it."""

KEY_SUBPROTOCOL_PREFIX = "openai-insecure-api-key."
"""Browsers cannot set headers on a WebSocket, so SDKs put the key here; it is never echoed."""

CLIENT_SECRET_PREFIX = "ek_"
MIN_SECRET_S = 10.0
MAX_SECRET_S = 7200.0
MAX_LIVE_SECRETS = 10_000
MAX_SECRETS_BYTES = 16 * 1024 * 1024
"""Of all sessions that live secrets describe, together."""

_UNNAMED = re.compile(r"key-\d+")

ANONYMOUS = "anonymous"
"""The principal when no keys are configured."""


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
class _LiveSecret:
    expires_at: float
    owner: str
    session: SessionPatch | None
    num_bytes: int


class Authenticator:
    """Knows the keys, and says whose a key is."""

    def __init__(self, keys: Iterable[tuple[str, str]] = ()) -> None:
        """Hold the digests of ``(name, key)`` pairs."""
        self._keys = [(_digest(key), name) for name, key in keys]
        self._secrets: dict[bytes, _LiveSecret] = {}

    @classmethod
    def from_file(cls, file: Path) -> Authenticator:
        """Read one key per line: ``key`` or ``name:key``; ``#`` starts a comment.

        Raises:
            ConfigError: The file cannot be read, or holds no key.
        """
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"cannot read the API keys in {file}: {error}", param="auth.api_keys_file"
            ) from None
        keys = list(_parse_keys(text))
        if not keys:
            raise ConfigError(
                f"{file} holds no API key; write one per line, or leave auth.api_keys_file out",
                param="auth.api_keys_file",
            )
        return cls(keys)

    @classmethod
    def from_config(cls, config: AuthConfig) -> Authenticator:
        """With the configured keys, or open to everybody when there are none."""
        return cls() if config.api_keys_file is None else cls.from_file(config.api_keys_file)

    @property
    def requires_key(self) -> bool:
        """Whether a key is needed at all."""
        return bool(self._keys)

    @property
    def principals(self) -> tuple[str, ...]:
        """All whom a key can belong to, each once."""
        return tuple(dict.fromkeys(name for _, name in self._keys)) or (ANONYMOUS,)

    def owner_of(self, principal: str) -> str:
        """What is kept on the disk for a principal belongs to this.

        A key without a name is called by its line, which is another's once lines come and go; so
        it is known by its digest. Names hold no colon.
        """
        for digest, name in self._keys:
            if name == principal and _UNNAMED.fullmatch(name):
                return f"key:{digest.hex()}"
        return principal

    def check(self, key: str | None, now: float) -> str | None:
        """Name the principal that a key belongs to; ``None`` refuses it.

        With no keys configured anything is accepted, so that SDKs that insist on a key work.
        """
        if not self._keys:
            return ANONYMOUS
        if not key:
            return None
        digest = _digest(key)
        found: str | None = None
        for known, name in self._keys:
            if hmac.compare_digest(known, digest):
                found = name
        if found is not None:
            return found
        secret = self._live_secret(digest, now)
        return None if secret is None else secret.owner

    def session_of(self, key: str | None, now: float) -> SessionPatch | None:
        """What sessions that are opened with a client secret begin with, if anything was said."""
        secret = self._live_secret(_digest(key), now) if key else None
        return None if secret is None else secret.session

    def mint(
        self,
        principal: str,
        now: float,
        *,
        lifetime_s: float = 600.0,
        session: SessionPatch | None = None,
    ) -> ClientSecret:
        """Make a client secret for ``principal`` that lives 10 s to 2 h from ``now``.

        The oldest secrets go when there are too many, or their sessions take too much memory.

        Args:
            principal: Whose it is.
            now: Seconds.
            lifetime_s: Seconds.
            session: What sessions opened with it begin with; checked by the caller.
        """
        lifetime_s = min(max(lifetime_s, MIN_SECRET_S), MAX_SECRET_S)
        num_bytes = len(msgspec.json.encode(session)) if session is not None else 0
        self._secrets = {k: v for k, v in self._secrets.items() if now < v.expires_at}
        room = MAX_SECRETS_BYTES - num_bytes - sum(v.num_bytes for v in self._secrets.values())
        while self._secrets and (len(self._secrets) >= MAX_LIVE_SECRETS or room < 0):
            room += self._secrets.pop(next(iter(self._secrets))).num_bytes
        value = CLIENT_SECRET_PREFIX + secrets.token_urlsafe(24)
        expires_at = now + lifetime_s
        self._secrets[_digest(value)] = _LiveSecret(expires_at, principal, session, num_bytes)
        return ClientSecret(value, expires_at)

    def _live_secret(self, digest: bytes, now: float) -> _LiveSecret | None:
        secret = self._secrets.get(digest)
        return secret if secret is not None and now < secret.expires_at else None


def check_exposure(listen: ListenConfig, auth: AuthConfig, authenticator: Authenticator) -> None:
    """Refuse an address that others can reach when nobody needs a key.

    Raises:
        ConfigError: Neither keys nor ``auth.insecure`` were given for such an address.
    """
    if listen.is_loopback or authenticator.requires_key or auth.insecure:
        return
    raise ConfigError(
        f"refusing to listen on {listen.host} without API keys, because everybody who reaches it "
        "could use the model; name a key file with --api-keys, bind 127.0.0.1, or say --insecure",
        param="listen.host",
    )


def key_from_bearer(authorization: str | None) -> str | None:
    """The key in an ``Authorization: Bearer`` header, if it is one."""
    scheme, _, key = (authorization or "").strip().partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def key_from_subprotocols(offered: Sequence[str]) -> str | None:
    """The key that a browser put among the subprotocols it offers."""
    for subprotocol in offered:
        if subprotocol.startswith(KEY_SUBPROTOCOL_PREFIX):
            return subprotocol.removeprefix(KEY_SUBPROTOCOL_PREFIX) or None
    return None


def may_page_call(
    listen: ListenConfig, auth: AuthConfig, *, origin: str | None, host: str | None
) -> bool:
    """Whether the page of an ``Origin`` may use this server under this ``Host``; both doors ask."""
    return is_origin_allowed(
        origin,
        host,
        allowed=auth.allowed_origins,
        tls=listen.tls_cert is not None,
        loopback=listen.is_loopback,
    )


def is_host_ours(listen: ListenConfig, auth: AuthConfig, host: str) -> bool:
    """Whether a request for this ``Host`` is meant for this server.

    On loopback only loopback names are, and the hosts of allowed origins, which a proxy may pass
    on: a browser that asks for another name was sent here by whoever owns that name.
    """
    if not listen.is_loopback or _is_loopback_name(host):
        return True
    return any(origin.partition("://")[2] == host for origin in auth.allowed_origins)


def is_origin_allowed(
    origin: str | None,
    host: str | None,
    *,
    allowed: Sequence[str] = (),
    tls: bool = False,
    loopback: bool = False,
) -> bool:
    """Whether a page from ``origin`` may connect: same origin, or on the list, exactly.

    Programs that are not browsers send no origin and pass. Without TLS of our own a proxy may
    speak it for us, so ``https`` is the same origin too. A server on loopback is its own origin
    under loopback names only: a foreign page whose name was made to point at 127.0.0.1 after it
    was loaded (DNS rebinding) sends a matching ``Host``.

    Args:
        origin: The ``Origin`` header.
        host: The ``Host`` header.
        allowed: Origins that may connect whatever the host is.
        tls: We speak TLS ourselves.
        loopback: We listen on loopback.
    """
    if origin is None or origin in allowed:
        return True
    if not host or (loopback and not _is_loopback_name(host)):
        return False
    schemes = ("https",) if tls else ("http", "https")
    return any(origin == f"{scheme}://{host}" for scheme in schemes)


def _is_loopback_name(host: str) -> bool:
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    name = name.lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _parse_keys(text: str) -> Iterable[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        name, separator, key = entry.partition(":")
        if not separator:
            yield f"key-{number}", name
        elif key.strip():
            yield name.strip() or f"key-{number}", key.strip()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
