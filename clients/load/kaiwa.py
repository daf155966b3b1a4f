"""Kaiwa's realtime WebSocket as a target: a socket for each listener, for the whole session."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import broadcast
from websockets.exceptions import ConnectionClosed

from clients.access import Access
from clients.load.hampering import hamper
from clients.load.line import LineListener
from clients.load.wire_events import AGAIN, WireEvents
from clients.python.address import with_query
from clients.python.connecting import open_socket
from clients.python.errors import ConnectFailed, ConnectRefused
from clients.replay.script import Fault, Session, Turn

OPEN_TIMEOUT_S = 30.0
_RETRY_S = (0.1, 0.5, 1.0, 2.0, 4.0)
"""Waits before each try to come back."""


@dataclass(frozen=True, slots=True)
class KaiwaOptions:
    """How sessions are set up.

    Attributes:
        model: Character or engine.
        events: Extension events that are asked for; those of segments give the first segment.
        ignores_end: Whether replies have exactly the length that the script says.
        settings: Further fields of every session, such as ``temperature``.
    """

    model: str = ""
    events: str = "character.v1"
    ignores_end: bool = True
    settings: dict[str, Any] | None = None


class KaiwaTarget:
    """Opens lines to one server."""

    def __init__(
        self, access: Access, options: KaiwaOptions, *, retry_s: Sequence[float] = _RETRY_S
    ) -> None:
        """Know the server; nothing is opened yet.

        Args:
            access: To it.
            options: Of every session.
            retry_s: Waits before each try to come back; then a line is given up.
        """
        self._access = access
        self._options = options
        self._retry_s = retry_s

    def open(self, session: Session, persona: str, listener: LineListener) -> KaiwaLine:
        """Begin a session's line."""
        return KaiwaLine(self._access, self._options, persona, listener, self._retry_s)


class KaiwaLine:
    """One session, over as many sockets as it takes."""

    def __init__(
        self,
        access: Access,
        options: KaiwaOptions,
        persona: str,
        listener: LineListener,
        retry_s: Sequence[float],
    ) -> None:
        """Begin to connect."""
        self._retry_s = retry_s
        self._access = access
        self._options = options
        self._persona = persona
        self._events = WireEvents(listener)
        self._socket: ClientConnection | None = None
        self._waiting: list[bytes] = []  # what is to be said once the session is there
        self._num_asked = 0
        self._question: list[dict[str, Any]] = []
        self._asked_on: ClientConnection | None = None  # not yet on any
        self._reopen_after_s: float | None = None  # a drop that the script wants
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._gave_up = ""  # why the line cannot come back
        self._do(self._run())

    def ask(self, turn: Turn, text: str) -> None:
        """Say it and want a reply."""
        self._num_asked += 1
        event_id = f"ask-{self._num_asked}"
        item = {
            "id": f"item-{event_id}",
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": text}],
        }
        response: dict[str, Any] = {}
        if turn.output_tokens is not None:
            response["max_output_tokens"] = turn.output_tokens
            if self._options.ignores_end:
                response["ignore_eos"] = True
        self._events.asked(event_id)
        if self._gave_up:  # between two turns; nobody has been told yet
            asyncio.get_running_loop().call_soon(self._events.broken, self._gave_up)
            return
        self._question = [
            {"type": "conversation.item.create", "item": item},
            {"type": "response.create", "event_id": event_id, "response": response},
        ]
        self._asked_on = self._socket if self._events.is_greeted else None
        for event in self._question:
            self._say(event)

    def cancel(self) -> None:
        """Interrupt."""
        self._question = []
        self._say({"type": "response.cancel"})

    def report(self, num_chars: int) -> None:
        """Tell how far the newest message has been heard."""
        if self._events.item_id:
            self._say(
                {
                    "type": "character.playback",
                    "item_id": self._events.item_id,
                    "text_end": num_chars,
                    "state": "started",
                }
            )

    def fail(self, fault: Fault) -> None:
        """Drop the socket, or stop reading, or read slowly."""
        socket = self._socket
        if socket is None:
            return
        if fault.kind == "drop":
            self._reopen_after_s = fault.for_s
            socket.transport.abort()
        else:
            transport = socket.transport
            self._do(hamper(transport.pause_reading, transport.resume_reading, fault))

    async def close(self) -> None:
        """End the session."""
        self._is_closed = True
        if self._socket is not None:
            with contextlib.suppress(Exception):
                await self._socket.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _say(self, event: dict[str, Any]) -> None:
        message = msgspec.json.encode(event)
        if self._socket is not None and self._events.is_greeted:
            broadcast((self._socket,), message, text=True)  # the library's way not to wait
        else:
            self._waiting.append(message)

    async def _run(self) -> None:
        """Keep a socket open until the line is closed or cannot come back."""
        code = "connection_lost"
        num_failed = 0
        while not self._is_closed and num_failed < len(self._retry_s):
            try:
                await self._read_one_socket()
                num_failed = 0
            except ConnectRefused as error:
                code, num_failed = f"http_{error.status}", num_failed + 1
            except (ConnectFailed, OSError):
                code, num_failed = "connect_failed", num_failed + 1
            except (msgspec.MsgspecError, UnicodeDecodeError):
                code = "unreadable_event"
                break
            if self._is_closed:
                return
            if not self._events.resume_token and self._num_asked:
                break  # nothing to come back to
            wanted, self._reopen_after_s = self._reopen_after_s, None
            waits = self._retry_s
            pause_s = waits[min(num_failed, len(waits) - 1)]
            await asyncio.sleep(pause_s if wanted is None else wanted)
        self._gave_up = code
        self._events.broken(code)

    async def _read_one_socket(self) -> None:
        had_session = bool(self._events.resume_token)
        fields = {
            "model": self._options.model or None,
            "events": self._options.events or None,
            "resume": self._events.resume_token or None,
            "last_event_id": self._events.last_event_id or None,
        }
        socket = await open_socket(
            with_query(self._access.url, fields),
            self._access.api_key,
            OPEN_TIMEOUT_S,
            ca_file=self._access.ca_file,
        )
        self._socket = socket
        try:
            async for message in socket:
                was_greeted = self._events.is_greeted
                self._events.take(message)
                if self._events.is_greeted and not was_greeted:
                    self._begin(is_lost=had_session and not self._events.was_resumed)
                if self._events.is_unheard and self._asked_on is not socket:
                    self._ask_again(socket)
        except ConnectionClosed:
            pass
        finally:
            self._socket = None
            self._events.lost()
            socket.transport.abort()

    def _begin(self, *, is_lost: bool) -> None:
        """The session is there: set it up if it has not been, and say what waits.

        In a new one nothing of the conversation is left: to go on would measure another workload.
        """
        assert self._socket is not None
        if is_lost and self._num_asked:
            self._waiting.clear()
            self._gave_up = "session_not_resumed"
            self._events.broken(self._gave_up)
            return
        if not self._events.is_set_up:
            session: dict[str, Any] = {"type": "realtime", **(self._options.settings or {})}
            if self._persona:
                session["instructions"] = self._persona
            setup = {"type": "session.update", "session": session}
            broadcast((self._socket,), msgspec.json.encode(setup), text=True)
        waiting, self._waiting = self._waiting, []
        for message in waiting:
            broadcast((self._socket,), message, text=True)
        if self._asked_on is None:
            self._asked_on = self._socket

    def _ask_again(self, socket: ClientConnection) -> None:
        """A question got lost with its socket: say it once more; its item has one name."""
        if not self._question:  # it was called off meanwhile
            self._events.broken("connection_lost")
            return
        self._asked_on = socket
        item, create = self._question
        self._say(item)
        self._say({**create, "event_id": create["event_id"] + AGAIN})
