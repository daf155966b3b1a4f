"""Everything that reads what strangers send, each with what it may answer.

A target is given one damaged input and either takes it, or refuses it with an error that is
documented. Whatever else it raises is a finding.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from abc import ABC, abstractmethod
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from starlette.types import Message

from engine import messages
from engine.messages import BrokenFrame, FrameBuffer
from engine.outputs import EngineHealth
from engine.tool_dialect import HERMES
from server.cards.read import read_card, read_lorebook
from server.characters.card_file import character_from_card, find_warnings
from server.config_loader import load_settings
from server.errors import CardError, ProtocolError, ServerError
from server.http.app import build_http_app
from server.protocol.codec import decode_client_event, encode_client_event, encode_server_event
from server.resume.resume_tokens import ResumeTokens, conversation_of
from server.session.context import SessionContext
from server.session.effects import Send
from server.session.session import Session
from server.session.settings import SessionLimits
from server.sockets.admission import HandshakeHead, Refusal, admit
from server.sockets.event_rules import make_event_rules
from server.startup import build_state
from server.state import ServerState
from tools.cards.damage import mutations
from tools.cards.samples import make_samples
from tools.fuzzing import samples
from tools.fuzzing.mutate import as_bytes, as_text, damaged, damaged_bytes, odd_value

EVENTS_PER_SESSION = 40

MAX_FIELD_BYTES = 8192
"""Of a handshake; the request head has a bound of its own."""

HTTP_STATUSES = frozenset({200, 201, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503})
"""What an endpoint may answer to a body; 500 is a finding."""


class Finding(Exception):
    """An answer that is none of the documented ones."""


class Target(ABC):
    """Something that reads input."""

    @abstractmethod
    def make(self, rng: random.Random) -> bytes:
        """One input."""

    @abstractmethod
    def read(self, data: bytes) -> str:
        """Have it read; returns a word for what became of it.

        Raises:
            Exception: It is a finding.
        """

    def close(self) -> None:
        """Give back what was opened; most open nothing."""
        return


class CodecTarget(Target):
    """Client events as frames of text, into a session that lives for some of them."""

    def __init__(self) -> None:
        self._state = _state()
        self._num_events = 0
        self._session = self._new_session()

    def make(self, rng: random.Random) -> bytes:
        """A client event: damaged as a value, as bytes, or not at all."""
        event = rng.choice(samples.CLIENT_EVENTS)
        match rng.randrange(6):
            case 0:
                return as_bytes(event, rng)
            case 1:
                return damaged_bytes(as_bytes(event, rng), rng)
            case _:
                return as_bytes(damaged(event, rng, samples.CLIENT_EVENTS), rng)

    def read(self, data: bytes) -> str:
        """Decode, write and decode again, then let a session act on it."""
        self._num_events += 1
        if self._num_events % EVENTS_PER_SESSION == 0:
            self._session = self._new_session()
        try:
            event = decode_client_event(data)
        except ProtocolError as error:
            self._tell(error.message)
            self._session.refuse(error, 0.0)
            return str(error.code)
        if decode_client_event(encode_client_event(event)) != event:
            raise Finding("an event is another one after it was written and read again")
        for effect in self._session.receive(event, float(self._num_events)):
            if isinstance(effect, Send):
                json.loads(encode_server_event(effect.event, "evt_1"))
        return "taken"

    def _tell(self, message: str) -> None:
        if len(message) > 1000:
            raise Finding(f"an error of {len(message)} characters is told")

    def _new_session(self) -> Session:
        catalog = self._state.catalog
        return Session(
            "sess_0123456789abcdef",
            choice=catalog.resolve("aoi"),
            limits=SessionLimits(vocab_size=1000, max_items=100),
            granted_events=frozenset({"character.v1"}),
            context=SessionContext(
                eager_prefill=True,
                known_models=frozenset(catalog.model_names_of("")),
                tool_dialect=HERMES,
                find_character=catalog.find,
            ),
        )


class CardsTarget(Target):
    """Character cards of every container, and lorebooks."""

    def __init__(self) -> None:
        self._samples = make_samples(0)
        self._raw = [sample.raw for sample in self._samples]

    def make(self, rng: random.Random) -> bytes:
        """A file that was damaged in its bytes, or JSON that was damaged as a value."""
        if rng.random() < 0.5:
            return next(mutations(self._samples, rng.randrange(2**62), 1))
        return as_bytes(damaged(rng.choice(self._raw), rng, self._raw), rng)

    def read(self, data: bytes) -> str:
        """Read it as a card, and make a character of it; then as a lorebook."""
        outcome = "taken"
        try:
            card = read_card(data, file="fuzz")
        except CardError as error:
            if len(str(error)) > 1000:
                raise Finding(f"an error of {len(str(error))} characters is told") from None
            outcome = error.code
        else:
            with contextlib.suppress(ServerError):
                find_warnings(character_from_card(card, id="fuzz"))
        with contextlib.suppress(CardError):
            read_lorebook(data, file="fuzz")
        return outcome


class IpcTarget(Target):
    """Frames between server and engine, in both directions, cut wherever a socket cuts."""

    def __init__(self) -> None:
        ours: list[Any] = [*samples.TO_ENGINE, *samples.FROM_ENGINE]
        self._frames = [messages.encode(message) for message in ours]
        self._values = [msgspec.msgpack.decode(frame[4:]) for frame in self._frames]

    def make(self, rng: random.Random) -> bytes:
        """A stream of frames: some whole, some damaged in bytes or as values."""
        stream = b""
        for _ in range(rng.randrange(1, 5)):
            match rng.randrange(4):
                case 0:
                    stream += rng.choice(self._frames)
                case 1:
                    stream += damaged_bytes(rng.choice(self._frames), rng)
                case 2:
                    body = damaged_bytes(rng.choice(self._frames)[4:], rng)
                    stream += len(body).to_bytes(4, "little") + body
                case _:
                    stream += self._damaged_value(rng)
        return stream

    def _damaged_value(self, rng: random.Random) -> bytes:
        value = damaged(rng.choice(self._values), rng, self._values)
        try:
            body = msgspec.msgpack.encode(value)
        except (OverflowError, UnicodeEncodeError, ValueError):
            return b""  # what cannot be written cannot be sent
        return len(body).to_bytes(4, "little") + body

    def read(self, data: bytes) -> str:
        """Take the frames out of pieces and out of the whole, and decode each on both sides."""
        pieces = random.Random(len(data))
        whole, outcome = self._frames_of(FrameBuffer(), [data])
        cut: list[bytes] = []
        at = 0
        while at < len(data):
            size = pieces.choice((1, 2, 3, 7, 64, 4096))
            cut.append(data[at : at + size])
            at += size
        if self._frames_of(FrameBuffer(), cut) != (whole, outcome):
            raise Finding("frames depend on how their bytes were cut")
        for body in whole:
            for decode in (messages.decode_to_engine, messages.decode_from_engine):
                try:
                    decode(body)
                except BrokenFrame as error:
                    outcome = str(error.code)
        return outcome

    @staticmethod
    def _frames_of(buffer: FrameBuffer, pieces: list[bytes]) -> tuple[list[bytes], str]:
        frames: list[bytes] = []
        for piece in pieces:
            try:
                frames += buffer.feed(piece)
            except BrokenFrame as error:
                return [], str(error.code)
        return frames, "taken"


class HttpTarget(Target):
    """Bodies of the endpoints that take one, through the whole application."""

    def __init__(self) -> None:
        self._app = build_http_app(_state())
        self._runner = asyncio.Runner()
        self._cards = CardsTarget()

    def close(self) -> None:
        """End the loop."""
        self._runner.close()

    def make(self, rng: random.Random) -> bytes:
        """A path, a line feed and a body."""
        match rng.randrange(5):
            case 0:
                return b"/v1/characters\n" + self._cards.make(rng)
            case 1:
                path, known = "/v1/realtime/client_secrets", samples.CLIENT_SECRETS
            case _:
                path, known = "/v1/chat/completions", samples.COMPLETIONS
        value = rng.choice(known)
        if rng.random() < 0.2:
            body = damaged_bytes(as_bytes(value, rng), rng)
        else:
            body = as_bytes(damaged(value, rng, known), rng)
        return path.encode() + b"\n" + body

    def read(self, data: bytes) -> str:
        """Post it; the answer must be JSON with a code, or a success."""
        path, _, body = data.partition(b"\n")
        status, answer = self._runner.run(self._post(path.decode(), body))
        if status not in HTTP_STATUSES:
            raise Finding(f"{path.decode()} answered {status}")
        told = json.loads(answer)
        if status >= 400 and not (told["error"]["message"] and "code" in told["error"]):
            raise Finding(f"{path.decode()} answered {status} without a reason")
        if status >= 400 and len(told["error"]["message"]) > 1000:
            raise Finding(f"an error of {len(told['error']['message'])} characters is told")
        return str(status)

    async def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        kind = b"application/octet-stream" if "characters" in path else b"application/json"
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost"), (b"content-type", kind)],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        status, answer = 0, bytearray()
        incoming: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return incoming.pop() if incoming else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                answer.extend(message.get("body", b""))

        await self._app(scope, receive, send)
        return status, bytes(answer)


class HandshakeTarget(Target):
    """Heads of handshakes, and the cursors and tokens with which clients come back."""

    def __init__(self) -> None:
        self._state = _state()
        self._state.engine = _ReadyEngine()  # type: ignore[assignment]
        self._rules = make_event_rules("sess_0123456789abcdef")
        self._tokens = ResumeTokens()
        self._token = self._tokens.issue("sess_0123456789abcdef", "mio", "conv_1")

    def make(self, rng: random.Random) -> bytes:
        """A head as JSON."""
        query: dict[str, Any] = {
            "model": "aoi",
            "resume": self._token,
            "last_event_id": self._rules.name(7),
            "conversation": "conv_1",
            "events": "character.v1",
        }
        for name in list(query):
            if rng.random() < 0.4:
                value = odd_value(rng) if rng.random() < 0.5 else query[name]
                damage = damaged_bytes(str(value).encode("utf-8", "replace"), rng)
                query[name] = damage[:MAX_FIELD_BYTES]
        head: dict[str, Any] = {
            "target": "/v1/realtime?" + urlencode(query, quote_via=quote, errors="replace"),
            "hosts": ["localhost:8000"],
            "origins": ["http://localhost:8000"],
            "authorization": "Bearer sk-x",
            "subprotocols": ["realtime", "openai-insecure-api-key.sk-x"],
        }
        name = rng.choice(list(head))
        value = head[name]
        if isinstance(value, str):
            head[name] = damaged_bytes(value.encode(), rng).decode("latin-1")
        else:
            one = rng.choice(value).encode()
            head[name] = [damaged_bytes(one, rng).decode("latin-1"), *value[: rng.randrange(3)]]
        return as_text({"head": head, "query": {k: str(v) for k, v in query.items()}}, rng).encode(
            "utf-8", "surrogatepass"
        )

    def read(self, data: bytes) -> str:
        """Judge it, and look its token and cursor up."""
        told = json.loads(data.decode("utf-8", "surrogatepass"))
        outcome = "taken"
        query: dict[str, str] = told["query"]
        try:
            admission = admit(self._state, HandshakeHead(**told["head"]), 0.0)
            query = {**query, **admission.query}
        except Refusal as refusal:
            json.loads(refusal.body())
            outcome = f"{refusal.status} {refusal.code}"
        number = self._rules.number(query["last_event_id"])
        if number is not None and not 0 <= number < 2**63:
            raise Finding(f"event number {number}")
        conversation_of(query["resume"])
        if query["resume"] != self._token and self._tokens.find(query["resume"], "mio"):
            raise Finding("a token that was never issued is good")
        if self._tokens.find(self._token, "somebody else"):
            raise Finding("a token is good for another key")
        return outcome


class _ReadyEngine:
    """All of an engine that a handshake asks for."""

    def health(self) -> EngineHealth:
        return EngineHealth(True, "", 0, 0.0)


def _state() -> ServerState:
    return build_state(load_settings(command_line={"history.keep": "off"}).settings)


TARGETS: dict[str, type[Target]] = {
    "codec": CodecTarget,
    "cards": CardsTarget,
    "ipc": IpcTarget,
    "http": HttpTarget,
    "handshake": HandshakeTarget,
}
