"""Which web pages may use this server, under which of its names, and where it may listen.

Origins are compared exactly (RFC 6454): an unlisted scheme, port, suffix or look-alike is another
origin. Browsers send host names in lower case and ASCII, and so must the list.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from engine.errors import ConfigError
from server.config.access import AuthConfig, ListenConfig


def check_exposure(listen: ListenConfig, auth: AuthConfig, *, requires_key: bool) -> None:
    """Refuse an address that others can reach when nobody needs a key.

    Raises:
        ConfigError: Neither keys nor ``auth.insecure`` were given for such an address.
    """
    if listen.is_loopback or requires_key or auth.insecure:
        return
    raise ConfigError(
        f"refusing to listen on {listen.host} without API keys, because everybody who reaches it "
        "could use the model; name a key file with --api-keys, bind 127.0.0.1, or say --insecure",
        param="listen.host",
    )


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
