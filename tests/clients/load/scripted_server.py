"""A WebSocket server that answers as it is told, disorder included, and notes what it did and when.

It speaks as much of Kaiwa's wire as a load client reads: numbered events, resume, one chain of
events for each reply. Losing an event means that its number is used up and it is never sent.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed


@dataclass(frozen=True, slots=True)
class Plan:
    """One reply.

    Attributes:
        delays_s: Before each piece of text, the first from the question on.
        end_s: Between the last piece and the end.
        repeats: Pieces, by their place, that are sent twice.
        losses: Pieces whose events are never sent.
        drops: Pieces behind which the connection is cut, while the reply goes on. They are not
            lost themselves: a loss is seen by the number of the next event.
        error_code: The reply fails with it behind its last piece.
    """

    delays_s: tuple[float, ...] = (0.0, 0.0, 0.0)
    end_s: float = 0.0
    repeats: frozenset[int] = frozenset()
    losses: frozenset[int] = frozenset()
    drops: frozenset[int] = frozenset()
    error_code: str | None = None


@dataclass
class Did:
    """What one reply was like, on the machine's monotonic clock.

    Lost and repeated events count where somebody was connected: whoever comes back is told the
    rest anew, in order.
    """

    asked_at: float
    told_at: list[float] = field(default_factory=list)
    ended_at: float = 0.0
    num_lost: int = 0
    num_repeated: int = 0
    num_cuts: int = 0


@dataclass
class _Session:
    name: str
    number: int = 0
    log: list[tuple[int, str]] = field(default_factory=list)
    socket: ServerConnection | None = None
    num_asked: int = 0
    instructions: str = ""


class ScriptedServer:
    """Answers by a plan for each question.

    Attributes:
        did: By session's instructions and turn.
        said: What each question said.
        cancels: Interruptions that came.
        reports: ``text_end`` of each playback report.
    """

    def __init__(self, plan: Callable[[str, int], Plan]) -> None:
        """Take the plans: a function of the session's instructions and the turn."""
        self._plan = plan
        self._sessions: dict[str, _Session] = {}
        self._names = itertools.count(1)
        self._running: dict[str, asyncio.Task[None]] = {}
        self.did: dict[tuple[str, int], Did] = {}
        self.said: list[str] = []
        self.cancels = 0
        self.reports: list[int] = []

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve on a free port; gives the address."""
        async with serve(self._talk, "127.0.0.1", 0, compression=None) as server:
            host, port = next(iter(server.sockets)).getsockname()[:2]
            yield f"ws://{host}:{port}/v1/realtime"

    async def _talk(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        query = parse_qs(urlsplit(socket.request.path).query)
        session = self._sessions.get(query.get("resume", [""])[0])
        if session is None:
            session = _Session(f"s{next(self._names)}")
            self._sessions[session.name] = session
            session.socket = socket
            self._greet(session, resumed=False)
        else:
            last = int(query["last_event_id"][0].rpartition("_")[2])
            missed = [body for number, body in session.log if number > last]
            session.log = [entry for entry in session.log if entry[0] <= last]
            session.number = last
            session.socket = socket
            self._greet(session, resumed=True, replayed=len(missed))
            for body in missed:
                self._say(session, body)
        try:
            async for message in socket:
                self._hear(session, json.loads(message))
        except ConnectionClosed:
            pass
        finally:
            if session.socket is socket:
                session.socket = None

    def _greet(self, session: _Session, *, resumed: bool, replayed: int = 0) -> None:
        resume = {
            "token": session.name,
            "window_s": 60,
            "resumed": resumed,
            "replayed": replayed,
        }
        self._say(session, json.dumps({"type": "session.created", "session": {"resume": resume}}))

    def _hear(self, session: _Session, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                session.instructions = event["session"].get("instructions", "")
                self._say(session, json.dumps({"type": "session.updated"}))
            case "conversation.item.create":
                self.said.append(event["item"]["content"][0]["text"])
            case "response.create":
                turn, session.num_asked = session.num_asked, session.num_asked + 1
                did = self.did[session.instructions, turn] = Did(time.monotonic())
                self._say(session, json.dumps({"type": "response.created"}))
                plan = self._plan(session.instructions, turn)
                work = self._reply(session, plan, did)
                self._running[session.name] = asyncio.create_task(work)
            case "response.cancel":
                self.cancels += 1
                self._running[session.name].cancel()
                self._end(session, "cancelled", "")
            case "character.playback":
                self.reports.append(event["text_end"])

    async def _reply(self, session: _Session, plan: Plan, did: Did) -> None:
        text = ""
        for place, delay_s in enumerate(plan.delays_s):
            await asyncio.sleep(delay_s)
            piece = f"piece {place} "
            text += piece
            body = {"type": "response.output_text.delta", "item_id": "item_1", "delta": piece}
            did.told_at.append(time.monotonic())
            times = 0 if place in plan.losses else 2 if place in plan.repeats else 1
            if session.socket is not None:
                did.num_lost += times == 0
                did.num_repeated += times == 2
            self._say(session, json.dumps(body), times=times)
            if place in plan.drops and session.socket is not None:
                did.num_cuts += 1
                await asyncio.sleep(0.02)  # what was said before the cut arrives
                session.socket.transport.abort()
                session.socket = None
        await asyncio.sleep(plan.end_s)
        did.ended_at = time.monotonic()
        status = "completed" if plan.error_code is None else "failed"
        self._end(session, status, text, num_tokens=len(plan.delays_s), code=plan.error_code)

    def _end(
        self,
        session: _Session,
        status: str,
        text: str,
        *,
        num_tokens: int = 0,
        code: str | None = None,
    ) -> None:
        self._say(session, json.dumps({"type": "response.output_text.done", "text": text}))
        response: dict[str, Any] = {"status": status}
        if num_tokens:
            response["usage"] = {"input_tokens": 7, "output_tokens": num_tokens}
        if code is not None:
            response["status_details"] = {"error": {"code": code}}
        self._say(session, json.dumps({"type": "response.done", "response": response}))

    def _say(self, session: _Session, body: str, *, times: int = 1) -> None:
        """Number an event and send it so often, if anybody is there."""
        session.number += 1
        event_id = f'"event_id":"evt_{session.name}_{session.number}",'
        message = "{" + event_id + body[1:]
        if times:
            session.log.append((session.number, body))
        if session.socket is not None:
            for _ in range(times):
                session.socket.protocol.send_text(message.encode())
                session.socket.send_data()
