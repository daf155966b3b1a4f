"""The certificate changes under a context that is in use, or it stays."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from engine.errors import ConfigError
from server.config.access import ListenConfig
from server.sockets.tls import renew, tls_context
from tests.support.certificates import make_certificate


@pytest.fixture
def listen(tmp_path: Path) -> ListenConfig:
    """With a certificate."""
    cert, key = make_certificate(tmp_path)
    return ListenConfig(tls_cert=cert, tls_key=key)


def serve(listen: ListenConfig) -> ssl.SSLContext:
    """A context in use."""
    context = tls_context(listen)
    assert context is not None
    return context


def shown(context: ssl.SSLContext) -> bytes:
    """The certificate that a handshake gets, in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    client = trusting.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    certificate = client.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


def put(listen: ListenConfig, folder: Path) -> tuple[Path, Path]:
    """Another certificate in the place of the first; returns where it comes from."""
    folder.mkdir()
    cert, key = make_certificate(folder)
    assert listen.tls_cert
    assert listen.tls_key
    listen.tls_cert.write_bytes(cert.read_bytes())
    listen.tls_key.write_bytes(key.read_bytes())
    return cert, key


def test_without_files_the_port_is_plain() -> None:
    """There is no context."""
    assert tls_context(ListenConfig()) is None


def test_a_renewed_certificate_is_shown_to_who_comes_next(
    listen: ListenConfig, tmp_path: Path
) -> None:
    """The context is the same one."""
    context = serve(listen)
    before = shown(context)
    put(listen, tmp_path / "new")
    assert shown(context) == before
    renew(context, listen)
    after = shown(context)
    assert after != before
    assert shown(serve(listen)) == after


@pytest.mark.parametrize("broken", ["tls_cert", "tls_key", "other_key", "gone"])
def test_a_broken_file_leaves_the_old_certificate(
    listen: ListenConfig, tmp_path: Path, broken: str
) -> None:
    """Cut short, of another pair, or not there: the port goes on as it was."""
    context = serve(listen)
    before = shown(context)
    _, other = make_certificate_in(tmp_path / "other")
    assert listen.tls_cert
    assert listen.tls_key
    match broken:
        case "other_key":
            listen.tls_key.write_bytes(other.read_bytes())
        case "gone":
            listen.tls_cert.unlink()
        case name:
            file: Path = getattr(listen, name)
            file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ConfigError, match="cannot use the certificate") as refused:
        renew(context, listen)
    assert refused.value.param == "listen.tls_cert"
    assert shown(context) == before


def make_certificate_in(folder: Path) -> tuple[Path, Path]:
    """A certificate in a folder of its own."""
    folder.mkdir()
    return make_certificate(folder)


def test_an_encrypted_key_is_refused_and_nobody_is_asked(listen: ListenConfig) -> None:
    """A server has no terminal to be asked at."""
    assert listen.tls_key
    key = serialization.load_pem_private_key(listen.tls_key.read_bytes(), None)
    listen.tls_key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ConfigError, match="the key is encrypted; decrypt it"):
        tls_context(listen)
