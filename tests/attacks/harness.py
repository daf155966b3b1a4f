"""What every case of the catalogue is held to, whatever it does.

A ``Target`` is the whole server in a process of its own. ``Target.attacked`` is the frame around a
case: beside it a canary sings on a session of its own, song after song, from before the attack
until after it. Afterwards the server answers, every song was whole and byte for byte the seed's,
the event loop was never kept busy for long, no traceback and no word of anybody is in the log, and
everything that can be counted is back to what it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.attacks.target import ECHO, SONG, song
from tests.support.raw_http import Answer, exchange
from tests.support.realtime import receive_until, say

ROOT = Path(__file__).resolve().parents[2]

SECRET = "pomegranate"
"""A word that attackers say; no log may repeat it."""

MOST_BUSY_S = 0.5
"""Processor time that the event loop may spend before it looks at its timers, whatever it is sent.

Not wall time: a busy machine does not make it longer. An ordinary turn takes well under 1 ms; this
bound is for work that grows with what a stranger sends.
"""

_USUAL = {
    "log__level": "debug",
    "resume__window_s": 0.1,  # whoever has left is soon forgotten, so that gauges can come back
    "resume__detach_grace_s": 0.05,
}
_SETTLE_S = 10.0
_PATIENCE_S = 120.0
"""For a song or a visit, on a machine that does other things, too, with an engine that is lost."""
_FIRST_SEED = 7_000
_SEEDED = {
    "type": "response.create",
    "response": {
        "conversation": "none",
        "input": [
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Sing me a song."}],
            }
        ],
        "seed": 7,
        "temperature": 0.8,
        "max_output_tokens": 24,
    },
}

Gauges = dict[str, float]


class Target:
    """A running server, and the line to it."""

    def __init__(
        self, process: asyncio.subprocess.Process, url: str, log: Path, *, is_scripted: bool
    ) -> None:
        """Take over a process that has printed its ready line."""
        self.process = process
        self.url = url
        self.log = log
        self.baseline: Gauges = {}
        self.key: str | None = None
        self._seed = _FIRST_SEED
        self._song: str | None = None
        self._is_scripted = is_scripted

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.url.partition("://")[2].rpartition(":")
        return host, int(port)

    @property
    def headers(self) -> dict[str, str]:
        """With which sockets are opened: the house's key, where one is needed."""
        return {} if self.key is None else {"Authorization": f"Bearer {self.key}"}

    def socket_url(self, query: str = "model=aoi") -> str:
        """Where the realtime socket is."""
        return self.url.replace("http", "ws", 1) + f"/v1/realtime?{query}"

    async def ask(self, op: str, **fields: object) -> dict[str, Any]:
        """Have one line answered by the server's process."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"op": op, **fields}).encode() + b"\n")
        async with asyncio.timeout(_SETTLE_S):
            answer: dict[str, Any] = json.loads(await stdout.readline())
        assert "failure" not in answer, answer
        return answer

    async def settle(self) -> None:
        """Take one song and one request as what is usual, and remember the gauges after it."""
        # Asking for what is not kept opens the store's file for reading, once and for all.
        lines = [f"{name}: {value}\r\n" for name, value in self.headers.items()]
        head = (
            "GET /v1/conversations/conv_none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        )
        await exchange(self.address, "".join([head, *lines, "\r\n"]).encode())
        async with connect(self.socket_url(), additional_headers=self.headers) as client:
            await self._sing(client)
        await self.is_alive()
        await self.rebase()

    async def rebase(self) -> None:
        """What there is now is usual, once it has come to rest and nobody keeps HTTP open."""
        await asyncio.sleep(0.3)
        gauges = await self.ask("gauges")
        while not gauges["sessions"] == gauges["sockets"] == gauges["connections"]:
            await asyncio.sleep(0.02)
            gauges = await self.ask("gauges")
        self.baseline = gauges

    async def is_alive(self) -> None:
        """``/livez`` answers 200."""
        answer = await exchange(
            self.address, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        assert answer.status == 200

    @contextlib.asynccontextmanager
    async def attacked(
        self, *, told: str | None = None, most_busy_s: float = MOST_BUSY_S
    ) -> AsyncIterator[Target]:
        """Let a case run beside a canary, and hold the server to its promises afterwards.

        Args:
            told: A name in the log whose errors belong to the case; each other one is too loud.
            most_busy_s: Instead of ``MOST_BUSY_S``, where much comes in at once.
        """
        log_start = self.log.stat().st_size
        await self.ask("busiest")
        is_over = asyncio.Event()
        async with connect(self.socket_url(), additional_headers=self.headers) as client:
            await self._sing(client)
            canary = asyncio.create_task(self._sing_until(client, is_over))
            try:
                yield self
            finally:
                is_over.set()
                num_songs = await canary
        assert num_songs
        await self.is_alive()
        await self._gauges_are_back()
        busiest = (await self.ask("busiest"))["busiest_s"]
        assert busiest < most_busy_s, f"the event loop computed for {busiest:.2f} s on end"
        self._log_is_clean(log_start, told)

    async def _sing_until(self, client: ClientConnection, is_over: asyncio.Event) -> int:
        num_songs = 0
        while not num_songs or not is_over.is_set():
            await self._sing(client)
            num_songs += 1
        return num_songs

    async def _sing(self, client: ClientConnection) -> None:
        """Ask for one song and hear it: every delta in order, and the whole of it, as it is.

        A real model sings the same song again and again: with a seed, its first words are those
        that it said when nobody else was there.
        """
        self._seed += 1
        async with asyncio.timeout(_PATIENCE_S):
            if self._is_scripted:
                await say(client, f"{SONG}{self._seed}")
                self._song = song(self._seed)
            else:
                await client.send(json.dumps(_SEEDED))
            events = await receive_until(client, "response.done")
        kinds = {event["type"] for event in events}
        assert "error" not in kinds, [event for event in events if event["type"] == "error"]
        heard = "".join(
            event["delta"] for event in events if event["type"] == "response.output_text.delta"
        )
        self._song = self._song or heard
        response = events[-1]["response"]
        assert heard == self._song
        assert response["status"] in ("completed", "incomplete")
        assert response["output"][0]["content"][0]["text"] == heard

    async def _gauges_are_back(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _SETTLE_S
        while (gauges := await self.ask("gauges")) != self.baseline:
            changed = {
                name: f"{value:g}, not {self.baseline[name]:g}"
                for name, value in gauges.items()
                if value != self.baseline[name]
            }
            assert loop.time() < deadline, f"not back to where it was: {changed}"
            await asyncio.sleep(0.02)

    def _log_is_clean(self, start: int, told: str | None) -> None:
        with self.log.open("rb") as file:
            file.seek(start)
            text = file.read().decode(errors="replace")
        assert "Traceback" not in text, text
        assert SECRET not in text
        assert self._song is not None
        assert self._song[:12] not in text
        strange = {char for char in text if not char.isprintable()} - {"\n"}
        assert not strange, f"the log holds {strange}"
        for line in text.splitlines():
            is_loud = " error " in line[:40] or " critical" in line[:40]
            assert not is_loud or line.split()[2] == told, line


@contextlib.asynccontextmanager
async def target(
    folder: Path, *, key: str | None = None, **settings: object
) -> AsyncIterator[Target]:
    """Run a server for a section.

    Args:
        folder: For its log.
        key: The canary's, where keys are needed.
        settings: Named ``room__name``; ``engine`` is one, too.
    """
    log = folder / "server.log"
    values = {"history__file": str(folder / "conversations.db"), **_USUAL, **settings}
    arguments = [
        f"{name.replace('__', '.', 1)}={json.dumps(value)}" for name, value in values.items()
    ]
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.attacks.target", *arguments),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        ready = (await process.stdout.readline()).decode().split()
        assert ready[:1] == ["ready"], log.read_text(encoding="utf-8")[-2000:]
        is_scripted = settings.get("engine") != "demo"
        running = Target(process, ready[1], log, is_scripted=is_scripted)
        running.key = key
        await running.settle()
        yield running
        if process.returncode is None:
            process.stdin.close()
            async with asyncio.timeout(_SETTLE_S):
                assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answer_to(there: Target, data: bytes, *, patience_s: float = 10.0) -> Answer | None:
    """Send bytes; what was answered, or ``None`` when the door was closed without a word."""
    try:
        return await exchange(there.address, data, patience_s=patience_s)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def post(there: Target, path: str, body: str | bytes, **headers: str) -> Answer:
    """Post JSON; headers are named with ``_`` for ``-``."""
    content = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    usual = {"Host": "localhost", "Content-Type": "application/json", "Connection": "close"}
    usual |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"POST {path} HTTP/1.1", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in usual.items()]
    head = "\r\n".join([*lines, "", ""]).encode()
    return await exchange(there.address, head + content, patience_s=20.0)


async def get(there: Target, path: str, method: str = "GET") -> Answer | None:
    """Ask for an address; ``None`` when the door was closed without a word."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return await answer_to(there, head.encode("latin-1"))


def message(text: str) -> dict[str, Any]:
    """A client event that puts a user's words into the conversation."""
    part = {"type": "input_text", "text": text}
    item = {"type": "message", "role": "user", "content": [part]}
    return {"type": "conversation.item.create", "item": item}


@contextlib.asynccontextmanager
async def session(
    there: Target, query: str = "model=aoi", *, key: str | None = None, **headers: str
) -> AsyncIterator[ClientConnection]:
    """A client that has seen ``session.created``; with the house's key where none is given."""
    sent = {**there.headers, **({"Authorization": f"Bearer {key}"} if key else {}), **headers}
    async with (
        connect(there.socket_url(query), max_size=None, additional_headers=sent) as client,
        asyncio.timeout(_PATIENCE_S),
    ):
        await receive_until(client, "session.created")
        yield client


async def error_to(client: ClientConnection, sent: str | Mapping[str, Any]) -> dict[str, Any]:
    """Send one event; the ``error`` that it earns, which must be the first thing to come."""
    await client.send(sent if isinstance(sent, str) else json.dumps(sent))
    event: dict[str, Any] = json.loads(await client.recv())
    assert event["type"] == "error", event
    error: dict[str, Any] = event["error"]
    return error


async def reply_of(client: ClientConnection, text: str) -> dict[str, Any]:
    """Say something and hear the reply to its end."""
    await say(client, text)
    response: dict[str, Any] = (await receive_until(client, "response.done"))[-1]["response"]
    return response


async def still_talks(client: ClientConnection) -> None:
    """The session goes on as if nothing had been."""
    response = await reply_of(client, f"{ECHO}still here")
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["text"] == "still here"
