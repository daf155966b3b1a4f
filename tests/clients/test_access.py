"""How our programs reach a server: keys, and certificate authorities of one's own."""

from __future__ import annotations

import asyncio
import ssl
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from clients.access import Access, read_api_key
from clients.python.errors import ConnectFailed
from clients.terminal import fetch_characters
from tests.clients.test_client import SESSION_CREATED
from tests.support.certificates import make_certificate

pytestmark = pytest.mark.wire


async def test_a_private_authority_is_trusted_when_it_is_named(tmp_path: Path) -> None:
    """For the socket and for pages; unnamed, the connection fails and says why."""
    certificate, private_key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private_key)

    async def greet(connection: ServerConnection) -> None:
        await connection.send(SESSION_CREATED)
        await connection.wait_closed()

    def page(connection: ServerConnection, request: Request) -> Response | None:
        if request.path != "/v1/characters":
            return None
        return connection.respond(HTTPStatus.OK, '{"data": [{"id": "aoi"}]}')

    async with serve(greet, "127.0.0.1", 0, ssl=context, process_request=page) as fake:
        url = f"wss://127.0.0.1:{fake.sockets[0].getsockname()[1]}/v1/realtime"
        trusting = Access(url, ca_file=certificate)
        async with trusting.connect(model=None) as client:
            assert client.session is not None
        assert await asyncio.to_thread(fetch_characters, trusting) == [{"id": "aoi"}]
        with pytest.raises(ConnectFailed, match="not trusted"):
            async with Access(url).connect(model=None):
                pass
        assert await asyncio.to_thread(fetch_characters, Access(url)) == []


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("sk-alice\n", "sk-alice"),
        ("\n# who may\n\n  alice :  sk-alice  # she\nbob: sk-bob\n", "sk-alice"),
        ("alice:\nsk-bob", "sk-bob"),
    ],
)
def test_the_first_key_of_a_file_is_taken(text: str, key: str, tmp_path: Path) -> None:
    """As the server reads it: with a name or without, comments and empty lines left out."""
    file = tmp_path / "keys"
    file.write_text(text)
    assert read_api_key(file) == key
