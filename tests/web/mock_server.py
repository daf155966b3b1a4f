"""A scripted stand-in for the server: page, characters, realtime socket and engine feed."""

import asyncio
import json
import mimetypes
import random
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

WEB = Path(__file__).resolve().parents[2] / "clients" / "web"
CSP = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
    "img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HOSTILE = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script><b>bold</b>'
EXPRESSIONS = ["happy", "angry", "sad", "relaxed", "surprised", "neutral"]


def _character(
    name: str, kana: str, about: tuple[str, str], greeting: tuple[str, str], avatar: tuple[str, ...]
) -> dict[str, Any]:
    """Describe one character as the server would."""
    hair, eyes, skin, accent, style = avatar
    return {
        "id": name.lower(),
        "name": {"en": name, "ja": kana},
        "description": {"en": about[0], "ja": about[1]},
        "greeting": {"en": greeting[0], "ja": greeting[1]},
        "expressions": EXPRESSIONS,
        "avatar": {"hair": hair, "eyes": eyes, "skin": skin, "accent": accent, "style": style},
    }


CHARACTERS: list[dict[str, Any]] = [
    _character(
        "Aoi",
        "葵",
        ("Keeps a night café by the sea and remembers every guest.", "海辺の夜カフェの店主。"),
        (
            "[happy] Welcome in! The kettle has just boiled. What kind of day was it?",
            "[happy] いらっしゃい。ちょうどお湯が沸いたところ。今日はどんな一日だった？",
        ),
        ("#2b3a67", "#3b82f6", "#ffe0d0", "#f59e0b", "bob"),
    ),
    _character(
        "Ren",
        "蓮",
        ("A librarian of maps that were never drawn.", "描かれなかった地図の司書。"),
        ("[relaxed] Take a chair. Which place are you looking for?", "[relaxed] どうぞ、椅子へ。"),
        ("#6b2f25", "#2f9e6e", "#f7d3bd", "#e4572e", "long"),
    ),
    _character(
        "Kai",
        "海",
        ("Fixes bicycles, tells tall tales.", "自転車修理と、ほら話。"),
        ("[happy] Flat tyre, or just curious?", "[happy] パンク？それとも見物？"),
        ("#33333a", "#b45309", "#e8b896", "#4c9f70", "short"),
    ),
    _character(
        "Momo",
        "桃",
        ("Idol in training with far too much energy.", "元気すぎるアイドルの卵。"),
        ("[surprised] Oh! You came to the rehearsal?", "[surprised] わっ、練習を見に来たの？"),
        ("#c98bb9", "#8e4fc9", "#ffe4da", "#7a9cf0", "twin"),
    ),
    _character(
        "Nao",
        "直",
        ("Night-shift programmer, one earbud in.", "夜勤のプログラマー。"),
        ("[neutral] Hey. It compiles, so I have a minute.", "[neutral] やあ。少しなら話せる。"),
        ("#8a8f98", "#d97706", "#c98f6b", "#9277d6", "hood"),
    ),
    _character(
        "Unit-7",
        "七号",
        ("A careful robot that collects human sayings.", "ことわざを集める慎重なロボット。"),
        ("[happy] Greetings. Please state one proverb.", "[happy] ことわざをどうぞ。"),
        ("#4b5563", "#5eead4", "#dfe5ea", "#2bb3a3", "robot"),
    ),
    {"id": "plain-prompt"},
]

Line = list[tuple[str | None, str]]
REPLIES: dict[str, Line] = {
    "hello": [
        ("happy", "I am glad you stopped by. "),
        ("surprised", "Wait, is that the last train I hear? "),
        ("relaxed", "Then there is time for one more cup."),
    ],
    "疲れた": [
        ("sad", "それは大変だったね。"),
        ("relaxed", "まずは温かいお茶をどうぞ。ここではゆっくりしていいよ。"),
    ],
    "hostile": [(None, HOSTILE)],
    "angry": [("angry", "Somebody moved my favourite cup again!")],
    "sad": [("sad", "The lighthouse has been dark since Tuesday, and nobody knows why.")],
    "wide": [(None, "w" * 400)],
}
SLOW: Line = [("neutral", " ".join(f"word{n}" for n in range(400)))]


@dataclass
class Mock:
    """What the stand-in was told to do, and what it saw."""

    key: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    sockets: int = 0
    cancels: int = 0
    url: str = ""

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """Return the client events of one type, in order."""
        return [event for event in list(self.events) if event.get("type") == kind]


class Talk:
    """One realtime socket."""

    def __init__(self, mock: Mock, ws: WebSocket) -> None:
        self.mock = mock
        self.ws = ws
        self.said = ""
        self.seq = 0
        self.task: asyncio.Task[None] | None = None

    async def send(self, kind: str, **fields: Any) -> None:
        """Send one server event."""
        self.seq += 1
        event = {"type": kind, "event_id": f"evt_{self.seq}", **fields}
        await self.ws.send_text(json.dumps(event, ensure_ascii=False))

    async def run(self) -> None:
        """Serve the socket until it closes."""
        await self.send("session.created", session={"id": "sess_mock", "type": "realtime"})
        while True:
            event = json.loads(await self.ws.receive_text())
            self.mock.events.append(event)
            match event["type"]:
                case "conversation.item.create":
                    await self.accept(event["item"])
                case "response.create":
                    await self.respond(event)
                case "response.cancel":
                    await self.cancel()

    async def accept(self, item: dict[str, Any]) -> None:
        """Take an item into the conversation."""
        if item["role"] == "user":
            self.said = str(item["content"][0]["text"])
        await self.send("conversation.item.added", item=item)
        await self.send("conversation.item.done", item=item)

    async def respond(self, event: dict[str, Any]) -> None:
        """Begin a reply, or refuse."""
        error: dict[str, Any] = {"type": "invalid_request_error", "event_id": event.get("event_id")}
        if self.task and not self.task.done():
            code = "conversation_already_has_active_response"
            await self.send("error", error={**error, "code": code, "message": code})
        elif "refuse" in self.said:
            code = "rate_limit_exceeded"
            await self.send("error", error={**error, "code": code, "message": "Slow down."})
        elif "kick" in self.said:
            await self.ws.close(1008, "policy says no")
        else:
            self.task = asyncio.create_task(self.speak())

    async def cancel(self) -> None:
        """Stop the reply under way."""
        self.mock.cancels += 1
        if self.task:
            self.task.cancel()

    async def speak(self) -> None:
        """Stream one reply with the full chain of events."""
        response_id, item_id = f"resp_{self.seq}", f"item_reply_{self.mock.sockets}_{self.seq}"
        ids = {"response_id": response_id, "item_id": item_id}
        part = {**ids, "output_index": 0, "content_index": 0}
        response: dict[str, Any] = {"id": response_id, "object": "realtime.response"}
        item = {"id": item_id, "type": "message", "role": "assistant", "content": []}
        await self.send("response.created", response={**response, "status": "in_progress"})
        await self.send("response.output_item.added", response_id=response_id, item=item)
        await self.send("conversation.item.added", item=item)
        await self.send("response.content_part.added", **part, part={"type": "text", "text": ""})
        status, tokens, text = "completed", 0, ""
        started = time.monotonic()
        try:
            await asyncio.sleep(0.15 if "think" not in self.said else 3)
            for name, words in self.line():
                if name:
                    offset = len(text)
                    await self.send(
                        "character.expression", **ids, name=name, weight=1.0, text_offset=offset
                    )
                for token in chop(words):
                    text, tokens = text + token, tokens + 1
                    await self.send("response.output_text.delta", **part, delta=token)
                    if "drop" in self.said and tokens == 3:
                        self.said = ""
                        await self.ws.close(1012, "restart")
                        return
                    await asyncio.sleep(0.03)
        except asyncio.CancelledError:
            status = "cancelled"
        await self.send("response.output_text.done", **part, text=text)
        await self.send("response.done", response={
            **response, "status": status, "usage": {"output_tokens": tokens},
            "x_metrics": {
                "ttft_ms": 151.2, "output_tokens": tokens,
                "tokens_per_second": tokens / max(0.01, time.monotonic() - started - 0.15),
            },
        })  # fmt: skip

    def line(self) -> Line:
        """Choose what to say."""
        if "slow" in self.said or "drop" in self.said or "think" in self.said:
            return SLOW
        for word, line in REPLIES.items():
            if word in self.said:
                return line
        return REPLIES["hello"]


def chop(words: str) -> list[str]:
    """Cut text into pieces of about a token."""
    return [words[at : at + 3] for at in range(0, len(words), 3)]


class Engine:
    """A pretend engine: sequences come, read their prompt in chunks, speak and go."""

    SEATS = 12
    BLOCKS = 512

    def __init__(self) -> None:
        self.rng = random.Random(7)
        self.step_no = 0
        self.born = 0
        self.t = 0.0
        self.queue: list[str] = []
        self.live: dict[str, list[int]] = {}
        self.cached = 40.0

    def step(self) -> dict[str, Any]:
        """Run one iteration."""
        self.step_no += 1
        self.t += 0.022
        if self.rng.random() < 0.16:
            self.born += 1
            self.queue.append(f"r{self.born}")
        joined = []
        while self.queue and len(self.live) < self.SEATS:
            name = self.queue.pop(0)
            self.live[name] = [self.rng.randint(60, 300), self.rng.randint(12, 110)]
            joined.append(name)
        batch: list[tuple[str, str, int]] = []
        budget = 96
        for name, (prompt, _) in self.live.items():
            if prompt > 0 and budget > 0:
                chunk = min(prompt, budget, 64)
                budget -= chunk
                self.live[name][0] -= chunk
                batch.append((name, "prefill", chunk))
            elif prompt <= 0:
                self.live[name][1] -= 1
                batch.append((name, "decode", 1))
        left = [name for name, (_, rest) in self.live.items() if rest <= 0]
        used = sum(14 + (110 - rest) // 6 for _, rest in self.live.values())
        for name in left:
            del self.live[name]
            self.cached += 7
        self.cached = min(self.cached, 0.8 * (self.BLOCKS - used))
        return {
            "step": self.step_no, "t": self.t, "ms": 20 + self.rng.random() * 4,
            "running": len(self.live) + len(left), "waiting": len(self.queue),
            "prefill_tokens": sum(n for _, kind, n in batch if kind == "prefill"),
            "decode_tokens": sum(n for _, kind, n in batch if kind == "decode"),
            "joined": joined, "left": left, "kv_blocks_used": used,
            "kv_blocks_cached": int(self.cached), "batch": batch,
        }  # fmt: skip

    async def feed(self) -> AsyncIterator[str]:
        """Yield server-sent events, ten a second."""
        while True:
            steps = [self.step() for _ in range(5)]
            decoded = sum(step["decode_tokens"] for step in steps)
            frame = {
                "t": self.t, "steps": steps, "kv_blocks_total": self.BLOCKS,
                "tokens_per_second": decoded / 0.11, "max_num_seqs": self.SEATS,
            }  # fmt: skip
            yield f"data: {json.dumps(frame)}\n\n"
            await asyncio.sleep(0.1)


def build_app(mock: Mock) -> Starlette:
    """Build the stand-in as an ASGI application."""

    def guarded(
        answer: Callable[[], Response],
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            if mock.key and request.headers.get("authorization") != f"Bearer {mock.key}":
                return JSONResponse({"error": {"code": "invalid_api_key"}}, status_code=401)
            return answer()

        return endpoint

    def listing(data: list[dict[str, Any]]) -> Response:
        return JSONResponse({"object": "list", "data": data})

    async def page(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        files = {path.name: path for path in WEB.iterdir() if path.is_file()}
        if name not in files:
            return Response(status_code=404)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        headers = {"Content-Security-Policy": CSP, "X-Content-Type-Options": "nosniff"}
        return Response(files[name].read_bytes(), media_type=kind, headers=headers)

    async def realtime(ws: WebSocket) -> None:
        offered = ws.scope["subprotocols"]
        if mock.key and f"openai-insecure-api-key.{mock.key}" not in offered:
            await ws.close(1008)
            return
        mock.sockets += 1
        await ws.accept(subprotocol="realtime" if "realtime" in offered else None)
        talk = Talk(mock, ws)
        with suppress(WebSocketDisconnect, RuntimeError):
            await talk.run()
        if talk.task:
            talk.task.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await talk.task

    def live() -> Response:
        return StreamingResponse(Engine().feed(), media_type="text/event-stream")

    models = [{"id": one["id"], "object": "model"} for one in CHARACTERS]
    return Starlette(
        routes=[
            Route("/", page),
            Route("/static/{name}", page),
            Route("/v1/models", guarded(lambda: listing(models))),
            Route("/v1/characters", guarded(lambda: listing(CHARACTERS))),
            Route("/v1/engine/live", guarded(live)),
            WebSocketRoute("/v1/realtime", realtime),
        ]
    )


class MockServer:
    """Runs the stand-in in a thread; use as a context manager."""

    def __init__(self, key: str | None = None) -> None:
        self.mock = Mock(key=key)

    def __enter__(self) -> Mock:
        self.socket = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            build_app(self.mock), log_level="error", ws="websockets-sansio", lifespan="off"
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(
            target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True
        )
        self.thread.start()
        deadline = time.monotonic() + 10
        while not self.server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        self.mock.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        return self.mock

    def __exit__(self, *exc: object) -> None:
        self.server.should_exit = True
        self.server.force_exit = True
        self.thread.join(timeout=10)
        self.socket.close()
