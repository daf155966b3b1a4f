"""The certificate of the port: read at start, and again while connections go on.

A handshake takes whatever the context holds at that moment, and open connections keep what they
began with; so a renewed certificate needs no restart.
"""

from __future__ import annotations

import ssl

from engine.errors import ConfigError
from server.config.access import ListenConfig


def tls_context(listen: ListenConfig) -> ssl.SSLContext | None:
    """What the port speaks TLS with, if it does.

    Raises:
        ConfigError: The certificate cannot be used.
    """
    if listen.tls_cert is None or listen.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(listen.tls_cert, listen.tls_key, password=_no_password)
    except (OSError, ValueError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"cannot use the certificate {listen.tls_cert} with the key {listen.tls_key}: {reason}",
            param="listen.tls_cert",
        ) from None
    return context


def renew(context: ssl.SSLContext, listen: ListenConfig) -> None:
    """Put the files as they are now into a context that is in use.

    They are tried in a context of their own first: a certificate without its key would leave the
    live one with neither.

    Raises:
        ConfigError: They cannot be used; the old certificate stays.
    """
    assert listen.tls_cert is not None
    assert listen.tls_key is not None
    tls_context(listen)
    context.load_cert_chain(listen.tls_cert, listen.tls_key, password=_no_password)


def _no_password() -> bytes:
    """Refuse an encrypted key, where OpenSSL would ask the terminal and wait."""
    raise ValueError("the key is encrypted; decrypt it into a file that only the server can read")
