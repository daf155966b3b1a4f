"""A long conversation with a real model: summed up, read, shown and edited."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from websockets.asyncio.client import ClientConnection, connect

from engine.async_engine import AsyncEngine
from engine.config import EngineConfig
from engine.outputs import RequestDelta
from server.conversation.summary import INSTRUCTION
from server.engine_port import DeltaListener
from tests.support.fake_engine import FakeEngine
from tests.support.fake_server import running_server
from tests.support.realtime import receive_until, say
from tests.support.tiny_models import make_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.wire(only="uvloop")]

WORDS = "The quick brown fox jumps over the lazy dog while the moon is rising over the hills."


@dataclass
class Asked:
    """A request as the engine got it."""

    token_ids: list[int]
    deltas: list[RequestDelta] = field(default_factory=list)


class Recorder(AsyncEngine):
    """The engine itself, which writes down what it is asked."""

    asked: dict[str, Asked]

    def submit(
        self,
        request_id: str,
        prompt_token_ids: Sequence[int],
        *args: Any,
        on_delta: DeltaListener,
        **kwargs: Any,
    ) -> None:
        asked = self.asked[request_id] = Asked(list(prompt_token_ids))

        def listen(delta: RequestDelta) -> None:
            asked.deltas.append(delta)
            on_delta(delta)

        super().submit(request_id, prompt_token_ids, *args, on_delta=listen, **kwargs)

    def append(self, request_id: str, token_ids: Sequence[int], **kwargs: Any) -> None:
        self.asked[request_id].token_ids += token_ids
        super().append(request_id, token_ids, **kwargs)

    def read(self, request_id: str) -> str:
        """A request's prompt as text, control tokens and all."""
        return self.tokenizer.decode(self.asked[request_id].token_ids, skip_special_tokens=False)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Recorder]:
    """A tiny model with a short context."""
    folder = make_checkpoint(tmp_path / "tiny", max_position_embeddings=1024)
    config = EngineConfig.from_flat(model=str(folder), max_model_len=768, kv_cache_tokens=8192)
    engine = await Recorder.start(config, in_process=True)
    assert isinstance(engine, Recorder)
    engine.asked = {}
    yield engine
    await engine.aclose()


async def turn(client: ClientConnection, text: str) -> dict[str, Any]:
    """Say something and hear the reply."""
    await say(client, text)
    return cast(dict[str, Any], (await receive_until(client, "response.done"))[-1]["response"])


async def update(client: ClientConnection, session: dict[str, Any]) -> dict[str, Any]:
    """Set the session up; return it as it is shown then."""
    await client.send(json.dumps({"type": "session.update", "session": session}))
    updated = (await receive_until(client, "session.updated"))[-1]
    return cast(dict[str, Any], updated["session"])


async def test_a_summary_is_made_read_shown_and_edited(engine: Recorder) -> None:
    """Once the context fills; all of its prompt but the instruction comes from the cache."""
    async with (
        asyncio.timeout(60),
        running_server(
            cast(FakeEngine, engine),
            characters__prompt="You are Mio.",
            pacing__listener="none",
            memory__summary_tokens=24,
        ) as server,
        connect(server.socket_url("model=custom&events=character.v1")) as client,
    ):
        plain = {"character": {"tags": {"mode": "off"}}}
        await update(client, {"max_output_tokens": 24, "temperature": 0, **plain})
        told: dict[str, Any] = {}
        for _ in range(20):
            await turn(client, WORDS)
            asked = [name for name in engine.asked if "-summary-" in name]
            if asked:
                told = (await receive_until(client, "character.memory"))[-1]
                break
        assert told["op"] == "summarised"
        assert told["summary"]
        assert told["tokens_after"] < told["tokens_before"]
        (name,) = asked
        assert engine.read(name).startswith(f"<bos><|system|>You are Mio.<eos><|user|>{WORDS}")
        instruction = engine.tokenizer.encode_plain(INSTRUCTION)
        last = engine.asked[name].deltas[-1]
        num_new = last.num_prompt_tokens - last.num_cached_tokens
        assert num_new < len(instruction) + 2 * engine.info.block_size

        await turn(client, WORDS)
        prompt = engine.read(list(engine.asked)[-1])
        head = "<bos><|system|>You are Mio.<eos><|system|>"
        assert prompt.startswith(f"{head}{told['summary']}<eos><|user|>")

        patch = {"character": {"memory": {"summary": "A fox has jumped.", "auto": False}}}
        updated = await update(client, patch)
        assert updated["character"]["memory"] == patch["character"]["memory"]
        await turn(client, WORDS)
        prompt = engine.read(list(engine.asked)[-1])
        assert prompt.startswith(f"{head}A fox has jumped.<eos><|user|>")
