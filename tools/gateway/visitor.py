"""A client that talks, loses its sockets, and comes back; it writes down all that it hears."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tools.gateway.cutting_relay import CuttingRelay
from tools.gateway.delivered import Delivered, Reply
from tools.gateway.faults import Fault, Faults

_PATIENCE_S = 120.0
"""Without an event for so long, a visitor gives the session up."""
_RETRY_S = 0.1
_LARGEST = 16 * 1024 * 1024


@dataclass(slots=True)
class Turn:
    """What a visitor says, and how it wants to be answered.

    Attributes:
        item_id: Of the message, chosen by the client.
        text: Of the message.
        response: Fields of ``response.create``.
    """

    item_id: str
    text: str
    response: dict[str, Any] = field(default_factory=dict)

    def events(self, *, has_item: bool) -> list[bytes]:
        """What asks for it; without the message where that is there already."""
        part = {"type": "input_text", "text": self.text}
        item = {"id": self.item_id, "type": "message", "role": "user", "content": [part]}
        asked: list[dict[str, Any]] = []
        if not has_item:
            asked.append({"type": "conversation.item.create", "item": item})
        asked.append({"type": "response.create", "response": self.response})
        return [msgspec.json.encode(event) for event in asked]


class GaveUp(Exception):
    """Nothing was heard for too long, or the session is gone."""


class Visitor:
    """One session's client.

    Attributes:
        delivered: What it has heard.
        cuts: Sockets that ended otherwise than by leaving: by the fault's kind, by ``refused``, or
            by the server's close code.
        num_resumes: Times the server said that it goes on with the session.
        num_gaps: Of these, the times it said that something is missing.
        num_lost_sessions: Times the server did not know the session any more.
        num_swallowed: Bytes that the server has sent and that were lost on the way.
        conversation_id: As the last greeting said.
    """

    def __init__(
        self,
        url: str,
        faults: Faults | None = None,
        *,
        query: str = "model=aoi",
        names_conversation: bool = False,
    ) -> None:
        """Nothing is opened yet.

        Args:
            url: ``http://HOST:PORT``.
            faults: What befalls its sockets; ``None`` for nothing.
            query: Of its first socket.
            names_conversation: Whether it asks for its conversation by name, in case that the
                session is gone.
        """
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._query = query
        self._names_conversation = names_conversation
        self._faults = faults
        self._fault: Fault | None = None
        self._socket: ClientConnection | None = None
        self._relay: CuttingRelay | None = None
        self._token: str | None = None
        self._num_behind = 0  # events that are replayed and have not come yet
        self._num_events = 0  # of this socket, behind the greeting
        self._is_greeted = False
        self.delivered = Delivered()
        self.cuts: Counter[str] = Counter()
        self.num_resumes = 0
        self.num_gaps = 0
        self.num_lost_sessions = 0
        self.num_swallowed = 0
        self.conversation_id: str | None = None

    async def say(self, turn: Turn) -> Reply:
        """Have one turn answered, over as many sockets as it takes.

        Raises:
            GaveUp: There is no answer.
        """
        delivered = self.delivered
        num_before = len(delivered.replies)
        asked_on: ClientConnection | None = None
        while True:
            if len(delivered.replies) > num_before:
                reply = list(delivered.replies.values())[num_before]
                if reply.num_ends:
                    return reply
            elif self._can_ask and asked_on is not self._socket:
                # What is not among the replayed has not reached the server.
                asked_on = self._socket
                await self._send(turn.events(has_item=turn.item_id in delivered.items))
            await self._receive()

    @property
    def _can_ask(self) -> bool:
        return self._socket is not None and self._is_greeted and not self._num_behind

    async def leave(self) -> None:
        """Close politely."""
        if self._socket is not None:
            await self._socket.close()
            self._socket = None

    async def _send(self, events: list[bytes]) -> None:
        assert self._socket is not None
        try:
            for event in events:
                await self._socket.send(event, text=True)
        except ConnectionClosed:
            return
        if self._fault is not None and self._fault.kind == "asked":
            self._socket.transport.abort()

    async def _receive(self) -> None:
        """Take in one event, or come back."""
        if self._socket is None:
            await self._come()
            return
        fault = self._fault
        is_due = fault is not None and fault.kind == "abort"
        if is_due and fault is not None and self._num_events >= fault.num_events:
            self._socket.transport.abort()  # what has arrived is still read
        try:
            async with asyncio.timeout(_PATIENCE_S):
                message = await self._socket.recv()
        except TimeoutError:
            raise GaveUp(f"nothing came for {_PATIENCE_S:g} s") from None
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd is not None else None
            await self._dropped(str(code) if code else fault.kind if fault else "dropped")
            return
        self._take(msgspec.json.decode(message))

    def _take(self, event: dict[str, Any]) -> None:
        if event["type"] == "session.created":
            self._greet(event["session"])
        else:
            self._num_events += 1
            self._num_behind = max(0, self._num_behind - 1)
        self.delivered.take(event)

    def _greet(self, session: dict[str, Any]) -> None:
        resume = session["resume"]
        if self._token is not None:
            is_resumed = resume.get("resumed", False)
            self.num_resumes += is_resumed
            self.num_gaps += resume.get("gap", False)
            if not is_resumed:
                self.num_lost_sessions += 1
                self.delivered.start_anew()
        self._is_greeted = True
        self._token = resume["token"]
        self._num_behind = resume.get("replayed", 0)
        self.conversation_id = session["conversation"]["id"]

    def _target(self) -> str:
        query = self._query
        if self._names_conversation and self.conversation_id is not None:
            query += f"&conversation={self.conversation_id}"
        if self._token is not None:
            query += f"&resume={self._token}&last_event_id={self.delivered.last_event_id}"
        return f"/v1/realtime?{query}"

    async def _come(self) -> None:
        """Open a socket, or fail to, as the fault says."""
        self._fault = fault = self._faults.draw() if self._faults is not None else None
        self._num_events = 0
        self._is_greeted = False
        if fault is not None and fault.kind in ("knock", "unheard"):
            await self._knock(fault)
            await self._dropped(fault.kind)
            return
        url = f"ws://{self._host}:{self._port}{self._target()}"
        try:
            options: dict[str, Any] = {}
            if fault is not None and fault.kind == "relay":
                self._relay = CuttingRelay(fault.plan)
                await self._relay.open(self._host, self._port)
                options["sock"] = self._relay.client_side
            self._socket = await connect(
                url,
                compression=None,
                max_size=_LARGEST,
                proxy=None,
                open_timeout=60,  # the machine may be busy; that is not what is measured
                close_timeout=2,
                **options,
            )
        except (OSError, EOFError, InvalidHandshake, ConnectionClosed):
            await self._dropped(fault.kind if self._relay is not None and fault else "refused")

    async def _knock(self, fault: Fault) -> None:
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        request = (
            f"GET {self._target()} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
        try:
            _, writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            return
        share = fault.share if fault.kind == "knock" else 1.0
        writer.write(request[: int(len(request) * share)])
        await asyncio.sleep(fault.delay_s)
        writer.transport.abort()

    async def _dropped(self, why: str) -> None:
        """Note the end of a socket, and stay away for a while."""
        self.cuts[why] += 1
        self._socket = None
        if self._relay is not None:
            await self._relay.closed()
            self.num_swallowed += self._relay.num_swallowed
            self._relay = None
        away_s = self._fault.away_s if self._fault is not None else 0.0
        await asyncio.sleep(max(away_s, _RETRY_S) if why == "refused" else away_s)
