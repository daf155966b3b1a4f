"""A scripted stand-in for the server: page, characters, realtime socket and engine feed."""

from __future__ import annotations

import asyncio
import base64
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
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mPUn9LwHwAE+gJXAeJgOQAAAABJRU5ErkJggg=="
)
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
        "greetings": 1,
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

CHARACTERS[0]["greetings"] = 2
OTHER_GREETING = "[relaxed] Ah, it is you. Sit wherever you like."


@dataclass(frozen=True)
class Piece:
    """One segment of a reply."""

    text: str
    face: str | None = None
    weight: float = 1.0
    kind: str = "speech"
    motion: str | None = None


Line = list[Piece]
REPLIES: dict[str, Line] = {
    "hello": [
        Piece("I am glad you stopped by. ", "happy"),
        Piece("Wait, is that the last train I hear? ", "surprised"),
        Piece("Then there is time for one more cup.", "relaxed"),
    ],
    "疲れた": [
        Piece("それは大変だったね。", "sad"),
        Piece("まずは温かいお茶をどうぞ。", "relaxed"),
        Piece("ここではゆっくりしていいよ。"),
    ],
    "hostile": [Piece(HOSTILE)],
    "angry": [Piece("Somebody moved my favourite cup again!", "angry")],
    "sad": [Piece("The lighthouse has been dark since Tuesday, and nobody knows why.", "sad")],
    "half": [Piece("I am only a little cross about it, really.", "angry", 0.5)],
    "wide": [Piece("w" * 400)],
    "wave": [Piece("Over here! ", "happy", motion="wave"), Piece("Good evening to you.")],
    "kinds": [
        Piece("Let me think. ", "neutral"),
        Piece("*leans on the counter* ", kind="action"),
        Piece("(Not again.) ", kind="thought"),
        Piece("Try this: "),
        Piece("```js\nkettle.boil();\n```", kind="code"),
        Piece(" That should do.", "happy"),
    ],
    "vowels": [Piece(vowel * 40 + " ", "neutral") for vowel in "aiueo"],
    "song": [
        Piece("Laaaaa, laaaaa, la! ", "happy"),
        Piece("Luuuuu, luuuuu, lu! ", "surprised"),
        Piece("Leeeee, leeeee, le!", "relaxed"),
    ],
    "remember": [Piece("I will keep that in mind.", "happy")],
    "nudge": [Piece("All right, I will wait.", "relaxed")],
}
SLOW: Line = [
    Piece(" ".join(f"word{n}" for n in range(at, at + 5)) + " ", "neutral")
    for at in range(0, 400, 5)
]
NUDGE: Line = [Piece("Are you still there?", "surprised")]
NEWS: dict[str, tuple[str, dict[str, Any]]] = {
    "unwell": ("character.engine", {"status": "recovering"}),
    "cured": ("character.engine", {"status": "ready"}),
    "leaving": ("character.session.going_away", {"time_left_ms": 30_000, "reason": "restart"}),
    "late": ("character.session.expiring", {"in_ms": 60_000}),
}
SUMMARY = "Ken likes quiet mornings and lost an umbrella on the last train."
VOWELS = {"a": "aa", "i": "ih", "u": "ou", "e": "ee", "o": "oh"}


def speech_ms(piece: Piece) -> float:
    """How long the stand-in says that a voice takes."""
    if piece.kind != "speech":
        return 0.0
    return sum(110.0 if ord(char) > 0x3000 else 42.0 for char in piece.text)


def mouth_frames(text: str) -> list[list[Any]]:
    """One shape for every vowel; any five in turn for kana and kanji."""
    frames = []
    for at, char in enumerate(text):
        shape = VOWELS.get(char.lower())
        if ord(char) > 0x3041:
            shape = list(VOWELS.values())[ord(char) % 5]
        if shape:
            frames.append([at / len(text), (at + 1) / len(text), shape, 1.0])
    return frames


@dataclass
class Mock:
    """What the stand-in was told to do, and what it saw."""

    key: str | None = None
    kept: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    sockets: int = 0
    cancels: int = 0
    url: str = ""
    characters: list[dict[str, Any]] = field(default_factory=lambda: list(CHARACTERS))
    cards: list[tuple[str, int]] = field(default_factory=list)
    talk: Talk | None = None
    loop: asyncio.AbstractEventLoop | None = None

    def hang_up(self, code: int) -> None:
        """Close the newest socket, unless the page has left it already."""
        assert self.talk is not None
        assert self.loop is not None
        with suppress(WebSocketDisconnect):
            asyncio.run_coroutine_threadsafe(self.talk.ws.close(code), self.loop).result()

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
        self.replies = 0
        model = ws.query_params.get("model", "aoi")
        known = (one for one in mock.characters if one["id"] == model)
        self.character: dict[str, Any] = next(known, {"id": model})
        self.task: asyncio.Task[None] | None = None

    async def send(self, event_type: str, /, **fields: Any) -> None:
        """Send one server event."""
        self.seq += 1
        event = {"type": event_type, "event_id": f"evt_{self.seq}", **fields}
        await self.ws.send_text(json.dumps(event, ensure_ascii=False))

    async def run(self) -> None:
        """Serve the socket until it closes."""
        await self.send("session.created", session=self.session())
        while True:
            event = json.loads(await self.ws.receive_text())
            self.mock.events.append(event)
            match event["type"]:
                case "session.update":
                    await self.send("session.updated", session=self.session())
                case "conversation.item.create":
                    await self.accept(event["item"])
                case "response.create":
                    await self.respond(event)
                case "response.cancel":
                    self.mock.cancels += 1
                    await self.cancel()
                case "character.greet":
                    self.task = asyncio.create_task(
                        self.speak(self.greeting(event), {}, words=True)
                    )

    def session(self) -> dict[str, Any]:
        """Describe the session as far as the page reads it."""
        greetings = self.character.get("greetings", 0)
        character = {"id": self.character["id"], "greetings": greetings, "events": []}
        session = {"id": "sess_mock", "type": "realtime", "character": character}
        kept = self.mock.kept
        return session if kept is None else {**session, "recording": {"text": kept}}

    def greeting(self, event: dict[str, Any]) -> Line:
        """Take a greeting's tag apart."""
        raw = self.character["greeting"][event.get("language", "en")]
        if event.get("index"):
            raw = OTHER_GREETING
        tag, _, text = raw.partition("] ")
        return [Piece(text, tag.removeprefix("["))]

    async def accept(self, item: dict[str, Any]) -> None:
        """Take an item into the conversation."""
        if item["role"] == "user":
            self.said = str(item["content"][0]["text"])
        await self.send("conversation.item.added", item=item)
        await self.send("conversation.item.done", item=item)

    async def respond(self, event: dict[str, Any]) -> None:
        """Begin a reply, or refuse."""
        error: dict[str, Any] = {"type": "invalid_request_error", "event_id": event.get("event_id")}
        asked = event.get("response") or {}
        if asked.get("if_active") == "interrupt":
            await self.cancel()
        if self.task and not self.task.done():
            code = "conversation_already_has_active_response"
            await self.send("error", error={**error, "code": code, "message": code})
        elif "refuse" in self.said:
            code = "rate_limit_exceeded"
            wait = {"retry_after_ms": 1500} if "a while" in self.said else {}
            await self.send("error", error={**error, "code": code, "message": "Slow down.", **wait})
        elif "kick" in self.said:
            await self.ws.close(1008, "policy says no")
        elif "expire" in self.said:
            await self.ws.close(4401, "the key has expired")
        else:
            for word, (kind, fields) in NEWS.items():
                if word in self.said:
                    await self.send(kind, **fields)
            self.task = asyncio.create_task(self.answer(asked.get("metadata") or {}))

    async def cancel(self) -> None:
        """Stop the reply under way and wait for its last event."""
        if self.task and not self.task.done():
            self.task.cancel()
            await self.task

    async def answer(self, metadata: dict[str, str]) -> None:
        """Say what was asked for, and what comes of it."""
        said = self.said
        await self.speak(self.line(), metadata)
        if "remember" in said:
            numbers = {"tokens_before": 3900, "tokens_after": 1200}
            await self.send("character.memory", op="summarised", summary=SUMMARY, **numbers)
        if "nudge" in said:
            await self.speak(NUDGE, {})

    async def speak(self, line: Line, metadata: dict[str, str], *, words: bool = False) -> None:
        """Stream one reply with the full chain of events; ``words`` come all at once."""
        self.replies += 1
        name = f"{self.mock.sockets}_{self.replies}"
        response_id, item_id = f"resp_{name}", f"item_reply_{name}"
        ids = {"response_id": response_id, "item_id": item_id}
        part = {**ids, "output_index": 0, "content_index": 0}
        response = {"id": response_id, "object": "realtime.response", "metadata": metadata}
        item = {"id": item_id, "type": "message", "role": "assistant", "content": []}
        await self.send("response.created", response={**response, "status": "in_progress"})
        await self.send("character.state", **ids, state="thinking", reason="asked")
        await self.send("response.output_item.added", response_id=response_id, item=item)
        await self.send("conversation.item.added", item=item)
        await self.send("response.content_part.added", **part, part={"type": "text", "text": ""})
        status, tokens, text = "completed", 0, ""
        started = time.monotonic()
        try:
            if not words:
                await asyncio.sleep(0.15 if "think" not in self.said else 3)
            await self.send("character.state", **ids, state="speaking", reason="words")
            for index, piece in enumerate(line):
                await self.announce(ids, piece, index, len(text))
                for token in chop(piece.text):
                    text, tokens = text + token, tokens + 1
                    await self.send("response.output_text.delta", **part, delta=token)
                    if "drop" in self.said and tokens == 3:
                        self.said = ""
                        await self.ws.close(1012, "restart")
                        return
                    if not words:
                        await asyncio.sleep(0.03)
                await self.show(ids, piece, index, len(text))
        except asyncio.CancelledError:
            status = "cancelled"
        await self.send("response.output_text.done", **part, text=text)
        metrics = {"ttft_ms": 151.2, "output_tokens": tokens,
            "tokens_per_second": tokens / max(0.01, time.monotonic() - started - 0.15),
        }  # fmt: skip
        await self.send("response.done", response={
            **response, "status": status, "usage": {"output_tokens": tokens}, "x_metrics": metrics,
        })  # fmt: skip
        state, reason = ("idle", "finished") if status == "completed" else ("interrupted", "user")
        await self.send("character.state", **ids, state=state, reason=reason)

    async def announce(self, ids: dict[str, str], piece: Piece, index: int, start: int) -> None:
        """Send what comes before a segment's text."""
        place = {**ids, "text_offset": start, "segment_index": index, "t_ms": 0.0}
        if piece.face:
            face = {"name": piece.face, "weight": piece.weight, "hold": "response"}
            await self.send("character.expression", **place, **face)
        if piece.motion:
            await self.send("character.motion", **place, name=piece.motion)

    async def show(self, ids: dict[str, str], piece: Piece, index: int, end: int) -> None:
        """Send what comes after a segment's text."""
        face = {"expression": {"name": piece.face, "weight": piece.weight}} if piece.face else {}
        motion = {"motion": piece.motion} if piece.motion else {}
        place = {"index": index, "text_start": end - len(piece.text), "text_end": end}
        await self.send(
            "character.segment", **ids, **place, text=piece.text, lang="en", kind=piece.kind,
            boundary="sentence", est_speech_ms=speech_ms(piece), t_ms=0.0,
            **face, **motion,
        )  # fmt: skip
        if piece.kind == "speech":
            frames = mouth_frames(piece.text)
            await self.send(
                "character.visemes", **ids, segment_index=index, scheme="vrm1", frames=frames,
                unit="normalized", basis="text", t_ms=0.0,
            )  # fmt: skip

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
        files = {path.relative_to(WEB).as_posix(): path for path in WEB.rglob("*.*")}
        if name not in files:
            return Response(status_code=404)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        headers = {"Content-Security-Policy": CSP, "X-Content-Type-Options": "nosniff"}
        return Response(files[name].read_bytes(), media_type=kind, headers=headers)

    async def take_card(request: Request) -> Response:
        body, kind = await request.body(), request.headers["content-type"]
        mock.cards.append((kind, len(body)))
        name, picture = "Sakura", "/v1/characters/sakura/picture"
        if kind == "application/json":
            try:
                name, picture = json.loads(body)["data"]["name"], ""
            except (ValueError, KeyError):
                error = {"type": "invalid_request_error", "code": "invalid_card", "param": None}
                error["message"] = "the card has no data.name; every card names its character"
                return JSONResponse({"error": error}, status_code=400)
        greeting = ("[happy] Hello from the card.", "[happy] カードからこんにちは。")
        avatar = ("#5b3a67", "#3b82f6", "#ffe0d0", "#e58fb0", "long")
        made = _character(name, name, ("Came from a file.", "ファイルから来た。"), greeting, avatar)
        made |= {
            "picture": picture or None,
            "warnings": ["The card's extensions were kept unread."],
        }
        mock.characters.append(made)
        return JSONResponse(made, status_code=201)

    async def picture(request: Request) -> Response:
        return Response(PICTURE, media_type="image/png")

    async def realtime(ws: WebSocket) -> None:
        offered = ws.scope["subprotocols"]
        if mock.key and f"openai-insecure-api-key.{mock.key}" not in offered:
            await ws.close(1008)
            return
        mock.sockets += 1
        await ws.accept(subprotocol="realtime" if "realtime" in offered else None)
        talk = mock.talk = Talk(mock, ws)
        mock.loop = asyncio.get_running_loop()
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
            Route("/static/{name:path}", page),
            Route("/v1/models", guarded(lambda: listing(models))),
            Route("/v1/characters", guarded(lambda: listing(mock.characters)), methods=["GET"]),
            Route("/v1/characters", take_card, methods=["POST"]),
            Route("/v1/characters/sakura/picture", picture),
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
