"""Settings of where the server is reached, and by whom."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ConfigError
from server.config.checks import within


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenConfig:
    """Where the one port is."""

    host: str = "127.0.0.1"
    """Address to bind; anything but loopback needs API keys or ``auth.insecure``."""
    port: int = 8000
    """TCP port; 0 lets the system choose, and the ready line tells which."""
    tls_cert: Path | None = None
    """PEM file with the certificate chain; with it and ``tls_key`` the port speaks TLS only."""
    tls_key: Path | None = None
    """PEM file with the certificate's private key."""
    backlog: int = 4096
    """Connections that the kernel may hold unaccepted; 100 makes a reconnect storm take 20 s."""
    admin_port: int | None = None
    """A second port for ``/metrics``, ``/version`` and the probes, which then has the numbers to
    itself; 0 lets the system choose."""
    admin_host: str = "127.0.0.1"
    """Address of that port; whoever reaches it may read the numbers, without a key."""

    def __post_init__(self) -> None:
        """Refuse half a key pair and ports that do not exist."""
        if not self.host:
            raise ConfigError("listen.host is empty; name an address", param="listen.host")
        within("listen.port", self.port, 0, 65535)
        within("listen.backlog", self.backlog, 1, 65535)
        if not self.admin_host:
            raise ConfigError(
                "listen.admin_host is empty; name an address", param="listen.admin_host"
            )
        if self.admin_port is not None:
            within("listen.admin_port", self.admin_port, 0, 65535)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigError(
                "listen.tls_cert and listen.tls_key come together; give both, or neither",
                param="listen.tls_key" if self.tls_key is None else "listen.tls_cert",
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the port."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthConfig:
    """Who may connect."""

    api_keys_file: Path | None = None
    """Hashes of keys, as lines or as TOML (docs/security.md); without it any key is accepted."""
    reload_interval_s: float = 5.0
    """Seconds between two looks at the key file and the certificate; SIGHUP looks at once."""
    insecure: bool = False
    """Allow an address that others can reach without any API key."""
    allowed_origins: tuple[str, ...] = ()
    """Browser origins (``https://example.org``) accepted beside the server's own, exactly."""

    def __post_init__(self) -> None:
        """Refuse origins that could never match."""
        within("auth.reload_interval_s", self.reload_interval_s, 0.05, 3600)
        for origin in self.allowed_origins:
            scheme, separator, rest = origin.partition("://")
            if scheme not in ("http", "https") or not separator or not rest or "/" in rest:
                raise ConfigError(
                    f"auth.allowed_origins has {origin!r}; an origin is scheme://host[:port]",
                    param="auth.allowed_origins",
                )
            if not origin.isascii() or origin != origin.lower():
                raise ConfigError(
                    f"auth.allowed_origins has {origin!r}; browsers send host names in lower case, "
                    "and those beyond ASCII as xn--…",
                    param="auth.allowed_origins",
                )
            if rest.endswith(":443" if scheme == "https" else ":80"):
                raise ConfigError(
                    f"auth.allowed_origins has {origin!r}; browsers leave the usual port out",
                    param="auth.allowed_origins",
                )
