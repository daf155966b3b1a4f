"""A server's state around a scripted engine, and an ASGI caller that can stall and hang up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message

from engine.config import EngineConfig
from engine.outputs import Logprob, RequestDelta, TokenLogprobs
from engine.request import DEFAULT_SERVICE, Service
from engine.sampling_params import SamplingParams
from server.auth.authenticator import Authenticator
from server.auth.keys import ApiKey
from server.characters.catalog import Catalog
from server.characters.character import Character
from server.characters.uploads import Uploads
from server.config.access import AuthConfig
from server.config.characters import CharactersConfig
from server.config.limits import LimitsConfig
from server.config.settings import ServerSettings
from server.engine_port import DeltaListener, EnginePort
from server.protocol.character_objects import LocalizedText
from server.state import ServerState
from tests.support.fake_engine import FakeEngine, FakeTokenizer
from tests.support.keys import plain_key

AOI = Character(
    id="aoi",
    name=LocalizedText(en="Aoi", ja="葵"),
    description=LocalizedText(en="A guide."),
    greeting=LocalizedText(en="[happy] Hello!", ja="[happy] こんにちは！"),
    prompt="You are Aoi.",
    expressions=("happy", "sad"),
    sampling={"temperature": 0.25, "top_k": 7},
    max_output_tokens=32,
    avatar={"hair": "#335577"},
)
HARU = Character(id="haru", name=LocalizedText(en="Haru"), prompt="You are Haru.")
ENGINE_NAME = "tiny"


def make_state(
    engine: EnginePort | None,
    *,
    keys: Iterable[tuple[str, str] | ApiKey] = (),
    auth: AuthConfig | None = None,
    limits: LimitsConfig | None = None,
    characters: CharactersConfig | None = None,
) -> ServerState:
    """Two characters, ``aoi`` and ``haru``, on an engine called ``tiny``."""
    settings = ServerSettings(
        engine=EngineConfig.from_flat(model="nowhere"),
        auth=auth or AuthConfig(),
        limits=limits or LimitsConfig(),
        characters=characters or CharactersConfig(),
    )
    uploads = Uploads(
        max_characters=settings.characters.max_uploaded,
        max_bytes=settings.characters.max_uploaded_bytes,
    )
    return ServerState(
        settings=settings,
        catalog=Catalog(ENGINE_NAME, [AOI, HARU], uploads=uploads),
        auth=Authenticator(key if isinstance(key, ApiKey) else plain_key(*key) for key in keys),
        engine=engine,
    )


def chat_body(text: str = "hi", **fields: Any) -> dict[str, Any]:
    """A small request to ``aoi``."""
    return {"model": "aoi", "messages": [{"role": "user", "content": text}], **fields}


def parse_events(body: bytes) -> list[Any]:
    """The ``data:`` events of a stream; ``[DONE]`` as that string."""
    lines = [line for line in body.decode().split("\n\n") if line.startswith("data: ")]
    texts = [line.removeprefix("data: ") for line in lines]
    return [text if text == "[DONE]" else json.loads(text) for text in texts]


class SpellingTokenizer(FakeTokenizer):
    """Can also say what a token spells."""

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """One character per token."""
        return "".join(map(chr, token_ids))

    def pieces(self, *, skip_special_tokens: bool = True) -> Mapping[int, str | bytes] | None:
        """Not known beforehand."""
        return None


class SpellingEngine(FakeEngine):
    """Reports log probabilities, the chosen token always at -0.5."""

    def __init__(self, reply: str = "Hello.") -> None:
        super().__init__(reply=reply)

    @property
    def salts(self) -> list[str]:
        """Of every submission, in order."""
        return [service.cache_salt for service in self.services.values()]

    @property
    def tokenizer(self) -> SpellingTokenizer:
        """One token per character."""
        return SpellingTokenizer()

    def submit(
        self,
        request_id: str,
        prompt_token_ids: Sequence[int],
        params: SamplingParams,
        *,
        on_delta: DeltaListener,
        service: Service = DEFAULT_SERVICE,
    ) -> None:
        """Take a request, and add log probabilities to its deltas."""

        def with_logprobs(delta: RequestDelta) -> None:
            chosen = [Logprob(token_id, -0.5) for token_id in delta.token_ids]
            entries = [TokenLogprobs(token, [token]) for token in chosen]
            on_delta(msgspec.structs.replace(delta, logprobs=entries or None))

        super().submit(
            request_id, prompt_token_ids, params, on_delta=with_logprobs, service=service
        )


class AsgiCall:
    """One HTTP request to an ASGI application, under the test's control.

    Attributes:
        status: Of the answer, once its head has come.
        body: What has come of the answer.
        is_stalled: While true, nothing more is taken from the application.
    """

    def __init__(
        self,
        app: ASGIApp,
        path: str,
        *,
        content: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status: int | None = None
        self.body = b""
        self.is_stalled = False
        self._grown = asyncio.Event()
        self._gone = asyncio.Event()
        self._request: bytes | None = b"" if content is None else json.dumps(content).encode()
        fields = {"host": "localhost", "content-type": "application/json", **(headers or {})}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET" if content is None else "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
            "client": ("127.0.0.1", 50000),
            "server": ("test", 80),
        }
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    @property
    def events(self) -> list[Any]:
        """The ``data:`` events so far; ``[DONE]`` as that string."""
        return parse_events(self.body)

    async def until(self, num_events: int) -> None:
        """Wait until so many events have come."""
        while len(self.events) < num_events:
            assert not self.task.done(), f"it ended with {self.status} {self.body!r}"
            self._grown.clear()
            await self._grown.wait()

    async def hang_up(self) -> None:
        """Leave, and wait until the application has noticed."""
        self._gone.set()
        await self.task

    async def _receive(self) -> Message:
        if self._request is not None:
            body, self._request = self._request, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self.is_stalled:
            await asyncio.Event().wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.body += message["body"]
        self._grown.set()
