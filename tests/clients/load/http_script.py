"""An HTTP server that answers each request with a scripted stream, and notes the bodies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

Answer = Sequence[bytes | float]
"""Bytes to send, and seconds to wait between them; the connection is closed behind the last."""

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body (RFC 9112, 7.1)."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(payload: object) -> bytes:
    """One server-sent event."""
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return b"data: " + text.encode() + b"\n\n"


def piece(text: str, finish: str | None = None) -> bytes:
    """A chunk of a chat completion."""
    return event({"choices": [{"delta": {"content": text}, "finish_reason": finish}]})


def whole(*events: bytes) -> Answer:
    """An answer that holds these events, each in a chunk of its own, and its end."""
    return [HEAD, *(chunk(one) for one in events), chunk(event("[DONE]")), b"0\r\n\r\n"]


def refusal(status: int, body: object) -> Answer:
    """An answer with an error."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return [f"HTTP/1.1 {status} No\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data]


class HttpScript:
    """Answers in turn; the last answer is given again and again.

    Attributes:
        bodies: Of the requests.
        heads: Their lines and headers.
    """

    def __init__(self, *answers: Answer) -> None:
        """Take the answers."""
        self._answers = list(answers)
        self.bodies: list[Any] = []
        self.heads: list[str] = []

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve on a free port; gives the address."""
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        try:
            yield f"http://{host}:{port}/v1/chat/completions"
        finally:
            server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            length = next(
                int(line.split(":")[1])
                for line in head.splitlines()
                if line.lower().startswith("content-length")
            )
            self.bodies.append(json.loads(await reader.readexactly(length)))
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            for part in answer:
                if isinstance(part, float):
                    await asyncio.sleep(part)
                else:
                    writer.write(part)
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
