"""A page is told why it was not let in: it asks, because browsers keep a refusal to themselves."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from tests.support.fake_server import Running, running_server
from tests.support.keys import ALICE, CHAT_ONLY, bearer, entry, make_keys, write_keys
from tests.support.raw_http import Answer, Streams, dialled, exchange, read_answer

pytestmark = [pytest.mark.wire]

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def question(query: str = "model=aoi", **headers: str) -> bytes:
    """What a page asks, as browsers send it."""
    lines = [f"POST /v1/realtime?{query} HTTP/1.1", "Host: localhost", "Content-Length: 0"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    """One with keys, of which Alice's is good for one socket."""
    file = make_keys(tmp_path, without="alice")
    more = file.read_text(encoding="utf-8")
    write_keys(file, more + entry("alice", ALICE, "max_connections = 1"))
    async with running_server(auth__api_keys_file=str(file)) as running:
        yield running


@contextlib.asynccontextmanager
async def kept(server: Running) -> AsyncIterator[Streams]:
    """A connection that has carried a request, as a page's have."""
    async with dialled(server.address) as (reader, writer):
        writer.write(LIVEZ)
        assert (await read_answer(reader)).status == 200
        yield reader, writer


async def test_who_would_be_let_in_is_told_so(server: Running) -> None:
    """Again and again: a question takes no place."""
    for _ in range(3):
        answer = await exchange(server.address, question(**bearer(ALICE)))
        assert (answer.status, answer.body) == (204, b"")
    async with connect(server.socket_url(), additional_headers=bearer(ALICE)):
        pass


async def test_a_refusal_is_that_of_a_handshake(server: Running) -> None:
    """Status and code: of the page, the key, its scope, the model, the body."""

    async def answer_to(data: bytes) -> tuple[int, str]:
        answer = await exchange(server.address, data)
        return answer.status, answer.error["code"]

    foreign = question(Origin="https://evil.example", **bearer(ALICE))
    assert await answer_to(foreign) == (403, "origin_not_allowed")
    assert await answer_to(question()) == (401, "invalid_api_key")
    assert await answer_to(question(**bearer(CHAT_ONLY))) == (403, "insufficient_scope")
    assert await answer_to(question("model=nobody", **bearer(ALICE))) == (404, "model_not_found")
    assert (await answer_to(question(Content_Length="2") + b"{}"))[0] == 400


async def test_a_body_is_refused_on_a_kept_connection_too(server: Running) -> None:
    """In words, where the library would only hang up."""
    async with kept(server) as (reader, writer):
        writer.write(question(Content_Length="2", **bearer(ALICE)) + b"{}")
        answer = await read_answer(reader)
    assert (answer.status, answer.error["code"]) == (400, "bad_request")


async def test_a_key_with_its_share_is_told_to_wait(server: Running) -> None:
    """Also on a connection that is there already."""
    async with (
        connect(server.socket_url(), additional_headers=bearer(ALICE)),
        kept(server) as (reader, writer),
    ):
        writer.write(question(**bearer(ALICE)))
        answer = await read_answer(reader)
    assert (answer.status, answer.error["code"]) == (429, "too_many_connections")
    assert answer.headers["retry-after"] == "2"


async def test_there_has_to_be_room_for_one_more_connection() -> None:
    """The one that asks is in, but its handshake would come on another."""
    async with (
        running_server(limits__max_connections=2) as server,
        connect(server.socket_url()),
        kept(server) as (reader, writer),
    ):
        writer.write(question())
        answer: Answer = await read_answer(reader)
    assert (answer.status, answer.error["code"]) == (503, "too_many_connections")


async def test_a_look_at_the_address_tells_what_it_is(server: Running) -> None:
    """On a connection that is kept as on a new one."""
    async with kept(server) as (reader, writer):
        writer.write(b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await read_answer(reader)).status == 426
