"""Any server of OpenAI's Chat Completions as a target: one streamed request for each turn.

The line keeps the conversation, as every client of that interface has to, and sends it whole with
each turn. A reply is called off by closing its connection, which is all that the interface knows.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11
import msgspec

from clients.load.event_text import EventTooLong
from clients.load.hampering import hamper
from clients.load.http_stream import EventStream, HttpRefusal
from clients.load.line import LineListener, ReplyEnd
from clients.python.errors import ConnectFailed
from clients.replay.script import Fault, Session, Turn

_DONE = b"[DONE]"
_OK = 200
"""Errors amid a stream come behind it."""


class _Cached(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Cached | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Error(msgspec.Struct):
    code: str | int | None = None
    type: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: _Error | str | None = None


@dataclass(frozen=True, slots=True)
class CompletionsOptions:
    """How requests are made.

    Attributes:
        url: Of ``…/v1/chat/completions``.
        model: By the server's name.
        api_key: Sent as a bearer token.
        ca_file: Certificate authorities in PEM that are trusted instead of the system's.
        body: Further fields of every request, such as ``temperature``.
        ignores_end: Send ``ignore_eos``, which vLLM, SGLang, llama.cpp and Kaiwa know, so that
            replies have exactly the length that the script says.
    """

    url: str
    model: str
    api_key: str | None = None
    ca_file: Path | None = None
    body: dict[str, Any] | None = None
    ignores_end: bool = True


class CompletionsTarget:
    """Opens lines to one server."""

    def __init__(self, options: CompletionsOptions) -> None:
        """Know the server; nothing is opened yet."""
        self._options = options

    def open(self, session: Session, persona: str, listener: LineListener) -> CompletionsLine:
        """Begin a session's line."""
        return CompletionsLine(self._options, persona, listener)


class CompletionsLine:
    """One conversation."""

    def __init__(self, options: CompletionsOptions, persona: str, listener: LineListener) -> None:
        """Begin with the persona alone."""
        self._options = options
        self._listener = listener
        self._messages: list[dict[str, str]] = []
        if persona:
            self._messages.append({"role": "system", "content": persona})
        self._stream: EventStream | None = None
        self._task: asyncio.Task[None] | None = None
        self._hampering: asyncio.Task[None] | None = None
        self._said: list[str] = []
        self._thought: list[str] = []
        self._is_cancelled = False

    def ask(self, turn: Turn, text: str) -> None:
        """Send the conversation and this turn."""
        if self._messages and self._messages[-1]["role"] == "user":
            # Interrupted before a word came; many templates refuse two questions in a row.
            self._messages[-1]["content"] += f"\n{text}"
        else:
            self._messages.append({"role": "user", "content": text})
        body: dict[str, Any] = {
            "model": self._options.model,
            "messages": self._messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            **(self._options.body or {}),
        }
        if turn.output_tokens is not None:
            body["max_tokens"] = turn.output_tokens
            if self._options.ignores_end:
                body["ignore_eos"] = True
        self._is_cancelled = False
        self._said, self._thought = [], []
        self._stream = EventStream(self._options.url, self._options.ca_file)
        self._task = asyncio.get_running_loop().create_task(
            self._read(self._stream, msgspec.json.encode(body))
        )

    def cancel(self) -> None:
        """Close the connection; the reply is over for its listener at once."""
        if self._stream is not None and not self._is_cancelled:
            self._is_cancelled = True
            self._stream.abort()
            if self._task is not None:
                self._task.cancel()
            self._end("abort")

    def report(self, num_chars: int) -> None:
        """Nobody wants to know."""

    def fail(self, fault: Fault) -> None:
        """Drop the connection, which ends the reply, or stop reading, or read slowly."""
        stream = self._stream
        if stream is None:
            return
        if fault.kind == "drop":
            stream.abort()
            return
        work = hamper(stream.pause, stream.resume, fault)
        self._hampering = asyncio.get_running_loop().create_task(work)

    async def close(self) -> None:
        """Let go of everything."""
        tasks = [task for task in (self._task, self._hampering) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, stream: EventStream, body: bytes) -> None:
        usage: _Usage | None = None
        finish, has_events = "", False
        key = self._options.api_key
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        try:
            async with contextlib.aclosing(stream.post(body, headers)) as events:
                async for data in events:
                    has_events = True
                    if data == _DONE:
                        break
                    chunk = msgspec.json.decode(data, type=_Chunk)
                    if chunk.error is not None:
                        raise HttpRefusal(_OK, data)
                    usage = chunk.usage or usage
                    for choice in chunk.choices or ():
                        finish = choice.finish_reason or finish
                        self._hear(choice.delta)
        except HttpRefusal as refusal:
            self._end("error", code=_code_of(refusal))
        except (OSError, h11.RemoteProtocolError):
            code = "connection_lost" if stream.is_open else "connect_failed"
            self._end("error", code=code)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, EventTooLong):
            self._end("error", code="unreadable_event")
        except (h11.LocalProtocolError, UnicodeError, ConnectFailed):
            self._end("error", code="unsendable_request")  # an address, a key or a CA that is none
        else:
            if finish:
                self._end("length" if finish == "length" else "stop", usage=usage)
            else:
                self._end("error", code="no_finish_reason" if has_events else "no_events")

    def _hear(self, delta: _Delta | None) -> None:
        if delta is None:
            return
        thought = delta.reasoning_content or delta.reasoning
        for text, kept in ((thought, self._thought), (delta.content, self._said)):
            if text:
                kept.append(text)
                self._listener.on_text(text)

    def _end(self, finish: str, *, code: str | None = None, usage: _Usage | None = None) -> None:
        self._stream = None
        if said := "".join(self._said or self._thought):  # as clients do, without its thoughts
            self._messages.append({"role": "assistant", "content": said})
        cached = None if usage is None else usage.prompt_tokens_details
        end = ReplyEnd(
            finish=finish,
            error_code=code,
            prompt_tokens=0 if usage is None else usage.prompt_tokens or 0,
            cached_tokens=None if cached is None else cached.cached_tokens,
            output_tokens=None if usage is None else usage.completion_tokens,
        )
        self._listener.on_end(end)


def _code_of(refusal: HttpRefusal) -> str:
    """The server's own code, or its status."""
    try:
        error = msgspec.json.decode(refusal.body, type=_Chunk).error
    except msgspec.MsgspecError:
        error = None
    if isinstance(error, _Error) and (error.code or error.type):
        return str(error.code or error.type)
    return "error_event" if refusal.status == _OK else f"http_{refusal.status}"
