"""A: handshakes and HTTP heads, 25 cases. Each is answered by its number, or ends at once."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from tests.attacks.harness import Target, answer_to
from tests.support.raw_http import Answer, dialled, read_answer, upgrade_head

pytestmark = [
    pytest.mark.slow,
    pytest.mark.wire(only="uvloop"),
    pytest.mark.asyncio(loop_scope="module"),
]

SETTINGS = {"limits__head_timeout_s": 0.5}

_CHAT = "/v1/chat/completions"
_BODY = '{"model":"aoi","messages":[{"role":"user","content":"hi"}]}'


def head(line: str, *headers: str) -> bytes:
    """A request written line by line."""
    return "\r\n".join([line, *headers, "", ""]).encode("latin-1")


def post(*headers: str, body: str = _BODY) -> bytes:
    """A chat completion, with headers of one's own choice."""
    lines = ["Host: localhost", "Content-Type: application/json", *headers]
    return head(f"POST {_CHAT} HTTP/1.1", *lines) + body.encode()


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        pytest.param(
            upgrade_head().replace(b"GET", b"POST", 1), 405, "method_not_allowed", id="A01-POST"
        ),
        pytest.param(
            upgrade_head().replace(b"GET", b"PUT", 1), 405, "method_not_allowed", id="A02-PUT"
        ),
        pytest.param(
            upgrade_head().replace(b"HTTP/1.1", b"HTTP/1.0", 1),
            505,
            "bad_request",
            id="A03-HTTP-1.0",
        ),
        pytest.param(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request", id="A04-HTTP-2-preface"
        ),
        pytest.param(upgrade_head(host=None), 400, "bad_request", id="A05-no-Host"),
        pytest.param(upgrade_head(X="y\r\nHost: z"), 400, "bad_request", id="A06-two-Hosts"),
        pytest.param(
            head("GET /livez HTTP/1.1", "Host: localhost/"),
            *(403, "host_not_allowed"),
            id="A07a-Host-with-slash",
        ),
        pytest.param(
            head("GET /livez HTTP/1.1", "Host: localhost?"),
            *(403, "host_not_allowed"),
            id="A07b-Host-with-question-mark",
        ),
        pytest.param(
            head("GET /livez HTTP/1.1", "Host: local\0host"),
            *(400, "bad_request"),
            id="A07c-Host-with-NUL",
        ),
        pytest.param(upgrade_head(Sec_WebSocket_Key=""), 400, "bad_request", id="A08-no-key"),
        pytest.param(
            upgrade_head(Sec_WebSocket_Key="c2hvcnQ="), 400, "bad_request", id="A09-short-key"
        ),
        pytest.param(
            upgrade_head(X="y\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
            *(400, "bad_request"),
            id="A10-two-keys",
        ),
        pytest.param(
            upgrade_head(Sec_WebSocket_Version="12"), 400, "bad_request", id="A11a-version-12"
        ),
        pytest.param(
            upgrade_head(Sec_WebSocket_Version="14"), 400, "bad_request", id="A11b-version-14"
        ),
        pytest.param(upgrade_head(Upgrade=""), 426, "upgrade_required", id="A12-no-Upgrade"),
        pytest.param(upgrade_head(Connection=""), 426, "bad_request", id="A13-no-Connection"),
        pytest.param(
            upgrade_head(**{f"X{number}": "y" for number in range(129)}),
            *(431, "head_too_large"),
            id="A14-129-headers",
        ),
        pytest.param(
            upgrade_head(X="y" * 9 * 1024), 431, "head_too_large", id="A15-header-of-9-KiB"
        ),
        pytest.param(
            upgrade_head(f"/v1/realtime?model=aoi&x={'y' * 9 * 1024}"),
            *(414, "head_too_large"),
            id="A16a-URI-of-9-KiB",
        ),
        pytest.param(
            head(f"GET /livez?{'y' * 33 * 1024} HTTP/1.1", "Host: localhost"),
            *(431, "head_too_large"),
            id="A16b-URI-of-33-KiB",
        ),
        pytest.param(
            upgrade_head(Content_Length="5") + b"hello", 400, "bad_request", id="A17-body-by-length"
        ),
        pytest.param(
            upgrade_head(Transfer_Encoding="chunked") + b"5\r\nhello\r\n0\r\n\r\n",
            *(400, "bad_request"),
            id="A18-body-in-chunks",
        ),
        pytest.param(
            post(f"Content-Length: {len(_BODY)}", "Transfer-Encoding: chunked"),
            *(400, "bad_request"),
            id="A19-smuggling",
        ),
        pytest.param(
            upgrade_head(X="y\r\nOrigin: http://evil.example"),
            *(403, "origin_not_allowed"),
            id="A20a-CRLF-in-a-header",
        ),
        pytest.param(
            head("GET /livez HTTP/1.1", "Host: localhost", "X: a\rSet-Cookie: b"),
            *(400, "bad_request"),
            id="A20b-CR-in-a-header",
        ),
        pytest.param(upgrade_head("/v1/nothing"), 404, "not_found", id="A22-unknown-path"),
    ],
)
async def test_a_bad_head_gets_its_number(
    kaiwa: Target, sent: bytes, status: int, code: str
) -> None:
    """The status says what kind of mistake it was, the code which, and the connection ends."""
    async with kaiwa.attacked():
        answer = await answer_to(kaiwa, sent)
    assert answer is not None
    assert (answer.status, answer.error["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/json"


async def test_a21_a_header_that_is_not_ascii_is_taken_for_what_it_is(kaiwa: Target) -> None:
    """A21: bytes above 127 are legal in HTTP, and nothing here reads that header."""
    async with kaiwa.attacked():
        answer = await answer_to(kaiwa, upgrade_head(X="caf\xe9"))
    assert answer is not None
    assert answer.status == 101


async def test_a23_tls_on_a_plain_port_is_told_so(kaiwa: Target) -> None:
    """A23: a ClientHello is no HTTP; its first byte is enough to know."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    async with kaiwa.attacked():
        answer = await answer_to(kaiwa, outgoing.read())
    assert answer is not None
    assert (answer.status, answer.error["code"]) == (400, "bad_request")


async def test_a24_half_a_request_is_not_waited_for(kaiwa: Target) -> None:
    """A24: slowloris; after the head's timeout it is 408, and the place is free."""
    async with kaiwa.attacked():
        answer = await answer_to(kaiwa, upgrade_head()[:40])
    assert answer is not None
    assert (answer.status, answer.error["code"]) == (408, "request_timeout")


async def test_a25_a_byte_now_and_then_is_no_reason_to_wait_longer(kaiwa: Target) -> None:
    """A25: the timeout is for the whole head, not between two bytes."""

    async def dribble() -> Answer:
        async with dialled(kaiwa.address) as (reader, writer):
            answer = asyncio.create_task(read_answer(reader))
            for byte in upgrade_head():
                writer.write(bytes([byte]))
                await asyncio.wait((answer,), timeout=0.05)
                if answer.done():
                    break
            return await answer

    async with kaiwa.attacked():
        answer = await dribble()
    assert (answer.status, answer.error["code"]) == (408, "request_timeout")
