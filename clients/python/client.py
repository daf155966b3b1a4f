"""A small async client for the Realtime wire.

An example::

    async with RealtimeClient.connect("ws://127.0.0.1:8000/v1/realtime", model="aoi") as client:
        async for event in client.respond("hello"):
            if isinstance(event, ResponseOutputTextDelta):
                print(event.delta, end="")

Events are the structs of ``server.protocol``. One task reads at a time; any task may send.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from clients.python.address import realtime_address, with_query
from clients.python.connecting import lost, open_socket
from clients.python.errors import (
    ConnectFailed,
    ConnectionLost,
    ConnectRefused,
    ReplyTimeout,
    RequestRefused,
)
from clients.python.events import (
    Event,
    Reply,
    UnknownEvent,
    decode_event,
    response_id,
)
from server.errors import ErrorCode
from server.protocol.character_events import CHARACTER_V1
from server.protocol.client_events import (
    CharacterDraft,
    CharacterPlayback,
    ClientEvent,
    ConversationItemCreate,
    ConversationItemDelete,
    ResponseCancel,
    ResponseCreate,
)
from server.protocol.codec import encode_client_event
from server.protocol.items import ContentPart, Item, MessageItem
from server.protocol.objects import ResponseParams, ResumeObject, SessionObject
from server.protocol.server_events import (
    ErrorEvent,
    ResponseCreated,
    ResponseDone,
    SessionCreated,
    SessionUpdated,
)

DEFAULT_URL = "ws://127.0.0.1:8000/v1/realtime"
_REQUEST_KEY = "client_event_id"
_NO_FIELDS: Mapping[str, object] = MappingProxyType({})
FIRST_BACKOFF_S = 0.2
MAX_BACKOFF_S = 5.0
_COME_AGAIN = frozenset({429, 502, 503, 504})


class RealtimeClient:
    """One connection; made by ``connect``.

    Attributes:
        session: The configuration as the server last told it.
        last_event_id: Of the last event read.
    """

    def __init__(
        self,
        socket: ClientConnection,
        *,
        event_timeout_s: float,
        reopen: Callable[[str, str], Awaitable[ClientConnection]] | None = None,
        on_lost: Callable[[ConnectionLost], None] | None = None,
    ) -> None:
        """Take over an open socket; see ``connect`` for the usual way.

        Args:
            socket: Open.
            event_timeout_s: The longest silence that ``recv`` and ``respond`` bear.
            reopen: Connects anew with a resume token and the last event id; ``None`` for never.
            on_lost: Told of each lost socket that this client sets out to replace.
        """
        self._socket = socket
        self._reopen = reopen
        self._on_lost = on_lost
        self._event_timeout_s = event_timeout_s
        self._ids = itertools.count(1)
        self._asked: str | None = None  # our request, while no reply to it has begun
        self._unfinished: str | None = None  # the reply to it, while it has not ended
        self._is_reading_reply = False
        self._resume: ResumeObject | None = None
        self.session: SessionObject | None = None
        self.last_event_id = ""

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        url: str = DEFAULT_URL,
        *,
        model: str | None = None,
        api_key: str | None = None,
        ca_file: Path | None = None,
        events: Sequence[str] = (CHARACTER_V1,),
        resume: tuple[str, str] | None = None,
        comes_back: bool = True,
        on_lost: Callable[[ConnectionLost], None] | None = None,
        connect_timeout_s: float = 10.0,
        event_timeout_s: float = 60.0,
    ) -> AsyncIterator[Self]:
        """Open a session and close it in the end.

        Args:
            url: ``ws://`` or ``wss://``, or the server's ``http`` address; ``/v1/realtime`` is
                added where there is no path, and its own query is kept.
            model: A character, an engine, or ``<engine>@<character>``.
            api_key: Sent as a bearer token.
            ca_file: Certificate authorities in PEM to trust instead of the system's.
            events: Extension events to ask for.
            resume: ``(token, last event id)`` of a connection that was lost: its
                ``session.resume.token`` and ``last_event_id``. What was missed comes first; where
                the session does not wait any more a new one begins, and an ``error`` says so.
            comes_back: Whether ``recv`` resumes by itself where the socket was lost. The greeting
                of the new socket is an event like any other. What was sent and got lost on its way
                is not sent again, but for what ``respond`` asks.
            on_lost: Told of each lost socket that this client sets out to replace.
            connect_timeout_s: For the handshake and for the first event.
            event_timeout_s: The longest silence that ``recv`` and ``respond`` bear.

        Raises:
            ConnectFailed: Nobody answers.
            ConnectRefused: The server says no.
        """
        query = {"model": model, "events": ",".join(events)}

        async def open(query: Mapping[str, str | None]) -> ClientConnection:
            target = with_query(realtime_address(url), query)
            return await open_socket(target, api_key, connect_timeout_s, ca_file=ca_file)

        async def reopen(token: str, event_id: str) -> ClientConnection:
            return await open({**query, **_way_back(token, event_id)})

        socket = await open(query if resume is None else {**query, **_way_back(*resume)})
        client = cls(
            socket,
            event_timeout_s=event_timeout_s,
            reopen=reopen if comes_back else None,
            on_lost=on_lost,
        )
        try:
            while client.session is None:
                await client.recv(timeout_s=connect_timeout_s)
            yield client
        finally:
            await client._socket.close()

    @property
    def is_open(self) -> bool:
        """Whether there is a socket; ``respond`` comes back where there is none, if it can."""
        return self._socket.close_code is None

    async def send(self, event: ClientEvent | Mapping[str, Any]) -> None:
        """Send one event; a mapping goes out as it is.

        Raises:
            ConnectionLost: The socket is closed.
        """
        if isinstance(event, ClientEvent):
            frame = encode_client_event(event)
        else:
            frame = msgspec.json.encode(event)
        try:
            await self._socket.send(frame, text=True)
        except ConnectionClosed as error:
            raise lost(error) from None

    async def recv(self, *, timeout_s: float | None = None) -> Event:
        """Read one event.

        Raises:
            ConnectionLost: The socket is closed, and the session does not wait for this client.
            ReplyTimeout: Nothing came for ``timeout_s``, by default the client's own limit.
        """
        limit = self._event_timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(limit):
                frame = await self._receive()
        except TimeoutError:
            raise ReplyTimeout(limit) from None
        event = decode_event(frame)
        event_id = event.data.get("event_id") if isinstance(event, UnknownEvent) else event.event_id
        self.last_event_id = event_id or self.last_event_id
        if isinstance(event, SessionCreated):
            self._greet(event.session)
        elif isinstance(event, SessionUpdated):
            self.session = event.session
        return event

    def _greet(self, session: SessionObject) -> None:
        is_another = self.session is not None and session.id != self.session.id
        self.session = session
        self._resume = session.resume if isinstance(session.resume, ResumeObject) else None
        if is_another:
            raise ConnectionLost(1006, "its session did not wait, and what was asked of it is lost")

    async def _receive(self) -> str | bytes:
        """Read one frame, over as many sockets as it takes."""
        while True:
            try:
                return await self._socket.recv()
            except ConnectionClosed as error:
                await self._come_back(lost(error))

    async def _come_back(self, loss: ConnectionLost) -> None:
        """Resume the session over another socket, or raise what ended this one."""
        resume = self._resume
        if self._reopen is None or resume is None or not loss.is_retryable:
            raise loss
        if self._on_lost is not None:
            self._on_lost(loss)
        deadline = asyncio.get_running_loop().time() + resume.window_s
        for attempt in itertools.count():
            await asyncio.sleep(min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2**attempt) * random.random())
            try:
                self._socket = await self._reopen(resume.token, self.last_event_id)
            except ConnectRefused as refused:
                if refused.status not in _COME_AGAIN:
                    raise loss from None
            except ConnectFailed:
                pass
            else:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise loss

    async def _come_back_to_ask(self) -> None:
        """Replace a socket that was lost while nobody read; what is asked next is not lost with it.

        Where the session did not wait, another one goes on with its conversation, if that is kept.
        """
        code = self._socket.close_code
        if code is None or self.session is None:
            return
        await self._come_back(ConnectionLost(code, self._socket.close_reason or ""))
        left, self.session = self.session, None
        while self.session is None:
            await self.recv()
        if self.session.id != left.id:
            self._asked = self._unfinished = None

    async def update_session(self, **fields: object) -> SessionObject:
        """Change part of the configuration, and wait until the server has confirmed it.

        Raises:
            RequestRefused: The server did not like a field.
        """
        event_id = self._new_id("update")
        session = {"type": "realtime", **fields}
        await self.send({"type": "session.update", "event_id": event_id, "session": session})
        while True:
            event = await self.recv()
            _raise_if_about(event, event_id)
            if isinstance(event, SessionCreated | SessionUpdated):
                return event.session

    async def create_item(self, item: Item, *, previous_item_id: str | None = None) -> str:
        """Put an item into the conversation; return the id of the event that asked for it."""
        event_id = self._new_id("item")
        await self.send(
            ConversationItemCreate(event_id=event_id, item=item, previous_item_id=previous_item_id)
        )
        return event_id

    async def delete_item(self, item_id: str) -> str:
        """Take an item out of the conversation; return the id of the event that asked for it."""
        event_id = self._new_id("delete")
        await self.send(ConversationItemDelete(event_id=event_id, item_id=item_id))
        return event_id

    async def cancel(self) -> None:
        """Interrupt the reply that is being made; harmless when there is none."""
        await self.send(ResponseCancel(event_id=self._new_id("cancel")))

    async def draft(self, text: str) -> None:
        """Show what the user is typing, all of it each time, so that it can be read ahead."""
        await self.send(CharacterDraft(text=text))

    async def report_playback(self, item_id: str, text_end: int, state: str = "started") -> None:
        """Say how far a reply has been read or heard.

        Args:
            item_id: Of the reply.
            text_end: Code points of its text.
            state: ``started``, ``finished``, or ``interrupted`` to keep only what was heard.
        """
        await self.send(CharacterPlayback(item_id=item_id, text_end=text_end, state=state))

    async def respond(
        self, text: str | None = None, *, fields: Mapping[str, object] = _NO_FIELDS
    ) -> AsyncGenerator[Event, None]:
        """Say something, and yield what comes until the reply has ended.

        The last event is ``ResponseDone``, whatever its status. Events of other replies are read
        past; those that belong to no reply are yielded. Leaving the loop early cancels the reply.
        Words and request travel together; where the words are refused, the reply that was asked
        for with them is cancelled. Where a socket is lost they are sent again under their names,
        so that nothing is said or answered twice.

        Args:
            text: The user's words; ``None`` asks for a reply to the conversation as it is.
            fields: For the ``response`` of ``response.create``: temperature, metadata …

        Raises:
            RequestRefused: The server refused the words or the reply.
            ConnectionLost: The socket is closed.
            ReplyTimeout: Nothing came for too long.
        """
        if self._is_reading_reply:
            raise RuntimeError("a reply is being read already; cancel it or read it to its end")
        self._is_reading_reply = True
        try:
            await self._come_back_to_ask()
            await self._finish_old_reply()
            request_id = self._new_id("response")
            params = msgspec.convert(_with_metadata(fields, request_id), ResponseParams)
            if params.conversation != "none" and not isinstance(params.turn_id, str):
                params.turn_id = _new_name("turn")
            item = None if text is None else user_message(text)
            if item is not None and item.id is None:
                item.id = _new_name("item")
            self._asked = request_id
            asking = await self._ask(item, request_id, params)
            reply_id, num_missed = None, 0
            while True:
                event = await self.recv()
                is_end = self._follow(event)
                is_back = num_missed > 0 or isinstance(event, SessionCreated)
                num_missed = _num_missed_after(event, num_missed)
                if is_back and num_missed == 0 and self._asked == request_id:
                    asking = await self._ask(item, request_id, params)
                reply_id = reply_id or self._unfinished
                _raise_if_about(event, *asking)
                if _is_idle_cancel(event) or response_id(event) not in (None, reply_id):
                    continue
                yield event
                if is_end:
                    return
        except RequestRefused:
            with suppress(ConnectionLost, ReplyTimeout):  # the next call hears of it
                await self._finish_old_reply()
            raise
        finally:
            self._is_reading_reply = False

    async def _ask(
        self, item: MessageItem | None, request_id: str, params: ResponseParams
    ) -> tuple[str, ...]:
        """Send words and request; return the ids of both events, as far as they left."""
        asking: tuple[str, ...] = (request_id,)
        with suppress(ConnectionLost):  # the next ``recv`` comes back, or says that it cannot
            if item is not None:
                asking += (await self.create_item(item),)
            await self.send(ResponseCreate(event_id=request_id, response=params))
        return asking

    async def say(
        self, text: str | None = None, *, fields: Mapping[str, object] = _NO_FIELDS
    ) -> Reply:
        """Say something and wait for the whole reply.

        Raises:
            ReplyFailed: The reply ended with an error.
        """
        reply = Reply()
        async with aclosing(self.respond(text, fields=fields)) as events:
            async for event in events:
                reply.take(event)
        return reply

    async def _finish_old_reply(self) -> None:
        """Cancel a reply that nobody waits for any more, and read past what it had on the way."""
        cancelled = None
        while self._asked is not None or self._unfinished is not None:
            if self._unfinished != cancelled:
                cancelled = self._unfinished
                await self.send(
                    ResponseCancel(event_id=self._new_id("cancel"), response_id=cancelled)
                )
            self._follow(await self.recv())

    def _follow(self, event: Event) -> bool:
        """Note what becomes of the reply that was asked for; return whether it ended."""
        match event:
            case ResponseCreated() if self._asked is not None and _is_ours(event, self._asked):
                self._asked, self._unfinished = None, event.response.id
            case ResponseDone() if event.response.id == self._unfinished:
                self._unfinished = None
                return True
            case ErrorEvent() if self._asked is not None and event.error.event_id == self._asked:
                self._asked = None
                return True
        return False

    def _new_id(self, what: str) -> str:
        return f"{what}_{next(self._ids)}"


def user_message(text: str) -> MessageItem:
    """An item that holds the user's words."""
    return MessageItem(role="user", content=[ContentPart(type="input_text", text=text)])


def _new_name(what: str) -> str:
    """A name that no other program gives in the same conversation."""
    return f"{what}_{secrets.token_hex(8)}"


def _num_missed_after(event: Event, num_missed: int) -> int:
    """How many events of the past are still to come, behind this one."""
    if not isinstance(event, SessionCreated):
        return max(0, num_missed - 1)
    resume = event.session.resume
    if not isinstance(resume, ResumeObject) or isinstance(resume.replayed, msgspec.UnsetType):
        return 0
    return resume.replayed


def _way_back(token: str, event_id: str) -> dict[str, str]:
    return {"resume": token, "last_event_id": event_id}


def _with_metadata(fields: Mapping[str, object], request_id: str) -> dict[str, object]:
    """Mark the request, so that its reply can be told from others."""
    metadata = fields.get("metadata")
    marked = {**(metadata if isinstance(metadata, Mapping) else {}), _REQUEST_KEY: request_id}
    return {**fields, "metadata": marked}


def _is_ours(event: ResponseCreated, request_id: str) -> bool:
    return (event.response.metadata or {}).get(_REQUEST_KEY) == request_id


def _is_idle_cancel(event: Event) -> bool:
    return (
        isinstance(event, ErrorEvent) and event.error.code == ErrorCode.RESPONSE_CANCEL_NOT_ACTIVE
    )


def _raise_if_about(event: Event, *event_ids: str | None) -> None:
    if not isinstance(event, ErrorEvent) or event.error.event_id is None:
        return
    if event.error.event_id in event_ids:
        error, wait_ms = event.error, event.error.retry_after_ms
        wait_s = None if wait_ms is msgspec.UNSET else wait_ms / 1000
        raise RequestRefused(error.code, error.message, error.param, wait_s)
