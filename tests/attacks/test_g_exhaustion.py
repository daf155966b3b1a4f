"""G: using things up, 17 cases: whoever takes too much is held up alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import struct
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.attacks.frames import TEXT, bare_socket, frame, read_frame
from tests.attacks.harness import (
    SECRET,
    Target,
    answer_to,
    message,
    session,
    still_talks,
    target,
)
from tests.attacks.target import ECHO, LONG, MAX_MODEL_LEN
from tests.support.keys import ALICE, EVE, bearer, entry, write_keys
from tests.support.raw_http import Streams, dialled, read_answer, upgrade_head
from tests.support.realtime import receive_until, say

pytestmark = [
    pytest.mark.slow,
    pytest.mark.wire(only="uvloop"),
    pytest.mark.asyncio(loop_scope="module"),
]

MOST = 40

MOST_CONNECTIONS = 150

MOST_OF_ONE = 8
"""Connections of one address, and of one key."""

SETTINGS = {
    "listen__host": "0.0.0.0",
    "auth__insecure": True,
    "limits__max_connections_per_address": MOST_OF_ONE,
    "limits__max_connections": MOST_CONNECTIONS,
    "limits__max_pending_heads": MOST,
    "limits__head_timeout_s": 0.5,
    "limits__messages_per_s": 500.0,
    "outbox__stall_timeout_s": 0.5,
    "outbox__watch_interval_s": 0.05,
    "outbox__send_buffer_bytes": 8192,
}

ENGINE = "model=kaiwa-demo"
ASK = [message(LONG), {"type": "response.create"}]


async def test_g01_one_connection_too_many_is_told_when_to_come_back(kaiwa: Target) -> None:
    """G01: 503 with Retry-After for a handshake and a request; those inside stay."""
    request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with kaiwa.attacked(), contextlib.AsyncExitStack() as stack:

        async def ask(data: bytes) -> int:
            return await stack.enter_async_context(_asked(kaiwa, data, 20))

        assert [await ask(request) for _ in range(MOST_CONNECTIONS - 5)] == [200] * (
            MOST_CONNECTIONS - 5
        )
        statuses = [await ask(upgrade_head()) for _ in range(4)]  # the canary is the fifth
        assert statuses == [101] * 4
        assert [await ask(upgrade_head()) for _ in range(4)] == [503] * 4
        assert await ask(request) == 503


def address_of_this_machine() -> str | None:
    """One under which others reach it; ``None`` when there is only loopback."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # sends nothing; TEST-NET-1, RFC 5737
        except OSError:
            return None
        return str(sock.getsockname()[0])


async def test_g02_one_address_has_only_its_share(kaiwa: Target) -> None:
    """G02: one more than an address may have is a 429; loopback and who is inside go on."""
    outer = address_of_this_machine()
    if outer is None:
        pytest.skip("this machine has no address but loopback, which is exempt")
    request = f"GET /livez HTTP/1.1\r\nHost: {outer}\r\n\r\n".encode()
    async with kaiwa.attacked(), contextlib.AsyncExitStack() as stack:

        async def ask(data: bytes, host: str | None = outer) -> int:
            return await stack.enter_async_context(_asked(kaiwa, data, 20, host))

        assert [await ask(upgrade_head()) for _ in range(MOST_OF_ONE - 2)] == [101] * (
            MOST_OF_ONE - 2
        )
        assert [await ask(request) for _ in range(2)] == [200] * 2
        assert [await ask(upgrade_head()) for _ in range(3)] == [429] * 3
        assert await ask(request) == 429
        assert await ask(upgrade_head(), None) == 101


@contextlib.asynccontextmanager
async def _asked(
    there: Target, data: bytes, patience_s: float, host: str | None = None
) -> AsyncIterator[int]:
    """A connection that stays, and the status of its first answer; by another address, perhaps."""
    address = there.address if host is None else (host, there.address[1])
    async with dialled(address) as (reader, writer):
        writer.write(data)
        async with asyncio.timeout(patience_s):
            answer = await read_answer(reader)
        if answer.status in (429, 503):
            assert answer.error["code"] == "too_many_connections"
            assert answer.headers["retry-after"]
        yield answer.status


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wide(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """A server with keys that takes as many messages as come; Eve may have many sockets."""
    folder = tmp_path_factory.mktemp("wide")
    keys = entry("eve", EVE, "max_connections = 1000") + entry("alice", ALICE)
    write_keys(folder / "keys.toml", keys)
    async with target(
        folder,
        key=EVE,
        auth__api_keys_file=str(folder / "keys.toml"),
        limits__max_connections_per_key=MOST_OF_ONE,
        limits__max_prompt_tokens=2000,  # so that a storm outgrows it
        limits__messages_per_s=1e5,
        limits__message_burst=10**5,
    ) as running:
        yield running


async def test_g03_one_key_has_only_its_share(wide: Target) -> None:
    """G03: one socket more than a key may have is a 429; another key and who is inside go on."""
    async with wide.attacked(), contextlib.AsyncExitStack() as stack:

        async def ask(key: str) -> int:
            return await stack.enter_async_context(_asked(wide, upgrade_head(**bearer(key)), 20))

        assert [await ask(ALICE) for _ in range(MOST_OF_ONE)] == [101] * MOST_OF_ONE
        assert [await ask(ALICE) for _ in range(3)] == [429] * 3
        assert await ask(EVE) == 101
    async with wide.attacked(), session(wide, key=ALICE) as client:  # given back with the sockets
        await still_talks(client)


async def test_g04_a_storm_of_clients_is_let_in(wide: Target) -> None:
    """G04: 500 at once, as after a restart; each is greeted, and all leave nothing behind."""

    async def visit() -> None:
        url, headers = wide.socket_url(), wide.headers
        async with connect(url, additional_headers=headers, open_timeout=60) as client:
            await receive_until(client, "session.created")

    # All handshakes that have come in are read before anybody else has a turn.
    async with wide.attacked(most_busy_s=1.5), asyncio.timeout(90):
        await asyncio.gather(*(visit() for _ in range(500)))


async def test_g05_idle_sessions_cost_nobody_anything(kaiwa: Target) -> None:
    """G05: a hundred that say nothing; the canary sings as before."""
    async with kaiwa.attacked(), contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(session(kaiwa)) for _ in range(100)]
        await still_talks(clients[50])


async def test_g06_who_never_asks_is_not_waited_for(kaiwa: Target) -> None:
    """G06: more silent connections than may wait; the rest is refused, and all of them end."""
    async with kaiwa.attacked(), contextlib.AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(dialled(kaiwa.address)) for _ in range(MOST + 10)]
        async with asyncio.timeout(20):
            statuses = [(await read_answer(reader)).status for reader, _ in silent]
        assert set(statuses) == {408, 503}
        assert statuses.count(408) == MOST


async def test_g07_a_flood_of_messages_slows_only_its_sender(kaiwa: Target) -> None:
    """G07: a thousand at once; the burst is answered, the rest is read at the rate that holds."""
    async with kaiwa.attacked(), bare_socket(kaiwa) as (reader, writer):
        event = frame(TEXT, json.dumps({"type": "no.such"}).encode())
        writer.write(event * 1000)
        for _ in range(100):
            opcode, _ = await read_frame(reader)
            assert opcode == TEXT


async def test_g08_a_burst_of_replies_is_answered_or_refused(kaiwa: Target) -> None:
    """G08: forty requests on one socket, each with one end, completed or refused by name."""
    aside = {"type": "response.create", "response": {"conversation": "none", "input": []}}
    async with kaiwa.attacked(), session(kaiwa) as client:
        for number in range(40):
            await client.send(json.dumps({**aside, "event_id": f"ask-{number}"}))
        ends = 0
        while ends < 40:
            event = json.loads(await client.recv())
            if event["type"] == "error":
                assert event["error"]["event_id"].startswith("ask-")
            ends += event["type"] in ("error", "response.done")
        await still_talks(client)


async def test_g09_the_longest_prompts_at_once(kaiwa: Target) -> None:
    """G09: a hundred sessions each send what the context just holds; it costs a loop's turn."""
    text = f"{ECHO}{'x' * (MAX_MODEL_LEN - 600)}"

    async def visit(client: ClientConnection) -> None:
        await client.send(json.dumps(message(text)))
        ask = {"type": "response.create", "response": {"max_output_tokens": 4}}
        await client.send(json.dumps(ask))
        done = (await receive_until(client, "response.done"))[-1]["response"]
        assert done["status"] in ("incomplete", "failed")

    # Each is just short enough to be tokenised on the loop, and all may come in one turn of it.
    async with kaiwa.attacked(most_busy_s=1.5), contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(session(kaiwa, ENGINE)) for _ in range(100)]
        await asyncio.gather(*(visit(client) for client in clients))


@contextlib.asynccontextmanager
async def reader_of(there: Target, window: int) -> AsyncIterator[Streams]:
    """A client with a small window that asks for a reply without end."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, there.address)
    async with dialled(there.address, sock=sock, limit=1024) as (reader, writer):
        writer.write(upgrade_head(f"/v1/realtime?{ENGINE}"))
        assert (await read_answer(reader)).status == 101
        for event in ASK:
            writer.write(frame(TEXT, json.dumps(event).encode()))
        yield reader, writer


async def until_cut_off(there: Target, number: float) -> None:
    """Wait until so many sockets in all were cut off."""
    async with asyncio.timeout(60):
        while await evictions(there) < number:
            pass


async def evictions(there: Target) -> float:
    """How many sockets were cut off so far."""
    head = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = await answer_to(there, head)
    assert answer is not None
    lines = answer.body.decode().splitlines()
    named = [line for line in lines if line.startswith("kaiwa_ws_evictions_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in named)


@pytest.mark.parametrize(
    "pace",
    [
        pytest.param(None, id="G11-zero-window"),
        pytest.param(0.05, id="G12-a-byte-now-and-then"),
    ],
)
async def test_a_reader_that_stalls_is_cut_off(kaiwa: Target, pace: float | None) -> None:
    """It costs itself its socket; a byte now and then is no progress that anybody can wait for."""
    async with kaiwa.attacked():
        before = await evictions(kaiwa)
        async with reader_of(kaiwa, 2048) as (reader, _):
            cut_off = asyncio.create_task(until_cut_off(kaiwa, before + 1))
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while pace is not None and not cut_off.done():
                    await reader.read(1)
                    await asyncio.wait((cut_off,), timeout=pace)
            await cut_off


async def test_g10_a_slow_reader_gets_all_of_it(kaiwa: Target) -> None:
    """G10: who reads in gulps hears every word, in fewer and longer pieces."""
    async with kaiwa.attacked(), session(kaiwa, ENGINE) as client:
        await say(client, f"{ECHO}{'word ' * 400}!")
        heard, kind = "", ""
        while kind != "response.done":
            event = json.loads(await client.recv())
            kind = event["type"]
            if kind == "response.output_text.delta":
                heard += event["delta"]
                await asyncio.sleep(0.002)
        assert heard == f"{'word ' * 400}!"


async def test_g13_a_peer_that_is_gone_without_a_word_is_not_kept(kaiwa: Target) -> None:
    """G13: neither FIN nor pong, as when a cable is pulled; keepalive gives its place back."""
    await kaiwa.ask("keepalive", seconds=0.3)
    async with bare_socket(kaiwa, ENGINE):
        await kaiwa.ask("keepalive", seconds=20.0)
        async with kaiwa.attacked():
            pass


async def test_g14_a_reset_in_the_middle_of_a_stream_is_noticed(kaiwa: Target) -> None:
    """G14: RST while a reply runs; it ends with its grace, and everything is given back."""
    async with kaiwa.attacked(), bare_socket(kaiwa, ENGINE) as (reader, writer):
        for event in ASK:
            writer.write(frame(TEXT, json.dumps(event).encode()))
        for _ in range(30):
            await read_frame(reader)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


async def test_g15_a_storm_of_cancels_leaves_nothing(wide: Target) -> None:
    """G15: asked and called off 2,000 times; each reply has one end, no request stays.

    By then the replies to the one message are more than the context holds.
    """

    async def visit(client: ClientConnection, num_turns: int) -> None:
        await client.send(json.dumps(message(LONG)))
        ahead = asyncio.Semaphore(100)  # who lets more pile up is cut off, as any slow reader

        async def storm() -> None:
            for _ in range(num_turns):
                await ahead.acquire()
                await client.send('{"type":"response.create"}')
                await client.send('{"type":"response.cancel"}')

        sending = asyncio.create_task(storm())
        begun: list[str] = []
        ended: list[str] = []
        while len(ended) < num_turns:
            event = json.loads(await client.recv())
            if event["type"] == "response.created":
                begun.append(event["response"]["id"])
            elif event["type"] == "response.done":
                ended.append(event["response"]["id"])
                ahead.release()
                assert event["response"]["status"] == "cancelled", event["response"][
                    "status_details"
                ]
        await sending
        assert begun == ended
        await still_talks(client)

    async with wide.attacked(), contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(session(wide, ENGINE)) for _ in range(4)]
        await asyncio.gather(*(visit(client, 500) for client in clients))


async def test_g16_a_conversation_may_outgrow_its_context(kaiwa: Target) -> None:
    """G16: more is said than the model can read; the oldest is left out, and talk goes on."""
    async with kaiwa.attacked(), session(kaiwa, ENGINE) as client:
        for _ in range(12):
            await client.send(json.dumps(message("x" * 4000)))
            await receive_until(client, "conversation.item.done")
        await still_talks(client)


async def test_g17_a_full_disk_costs_what_cannot_be_kept(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """G17: the session that cannot be kept ends with 1013 and says why; with room all is well."""
    folder = tmp_path_factory.mktemp("full")
    async with target(folder, log__level="warning") as there:
        resource.prlimit(there.process.pid, resource.RLIMIT_FSIZE, (256 * 1024, -1))
        codes: list[str] = []
        async with session(there, ENGINE) as client:
            with contextlib.suppress(ConnectionClosed):
                for _ in range(40):
                    await client.send(json.dumps(message("x" * 30_000)))
                    kind = ""
                    while kind != "conversation.item.done":  # what waits for the store piles up
                        event = json.loads(await client.recv())
                        kind = event["type"]
                        codes += [event["error"]["code"]] if kind == "error" else []
        assert codes == ["store_failed"]
        assert client.close_code == 1013
        await there.is_alive()
        resource.prlimit(there.process.pid, resource.RLIMIT_FSIZE, (-1, -1))
        async with there.attacked(), session(there) as again:
            await still_talks(again)


async def test_who_says_a_word_and_leaves_holds_nothing(kaiwa: Target) -> None:
    """What was computed ahead for somebody who is gone is given up with the socket."""
    async with kaiwa.attacked(), contextlib.AsyncExitStack() as stack:
        for _ in range(50):
            client = await stack.enter_async_context(session(kaiwa, ENGINE))
            await client.send(json.dumps(message(f"{SECRET} " * 20)))
            await receive_until(client, "conversation.item.done")
            client.transport.abort()
