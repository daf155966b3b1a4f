"""One session's replies, with everything around them in the test's hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from engine.chat_template import ChatMessage
from engine.outputs import RequestDelta
from engine.sampling_params import SamplingParams
from server.characters.catalog import Catalog
from server.config_loader import load_settings
from server.session.effects import Generate
from server.sockets.replies import Replies, ReplyListener
from server.state import ServerState
from tests.support.fake_engine import FakeEngine

PERSONA = "You are Aoi, and you talk a lot about your day at school."
REPLY = "Hello there."


class Desk:
    """One session's replies, with everything around them in the test's hand."""

    def __init__(self, engine: FakeEngine, settings: dict[str, object]) -> None:
        self.engine = engine
        loaded = load_settings(command_line=settings)
        self.state = ServerState(settings=loaded.settings, catalog=Catalog("fake", []))
        self.deltas: list[RequestDelta] = []
        self.failures: list[Exception] = []
        self.compacted: list[tuple[int, int]] = []
        self.summarised: list[tuple[str, int, int]] = []
        self.read: list[int] = []
        listener = ReplyListener(
            self.deltas.append,
            lambda _, error: self.failures.append(error),
            lambda before, after: self.compacted.append((before, after)),
            self.read.append,
            lambda *news: self.summarised.append(news),
        )
        self.replies = Replies(self.state, engine, "sess_1", listener)
        self.messages = [ChatMessage("system", PERSONA)]
        self.count = 0

    def wanted(self, **fields: Any) -> Generate:
        """What would be asked for now."""
        return replace(
            Generate(
                request_id="",
                messages=list(self.messages),
                params=SamplingParams(),
                max_output_tokens=None,
                truncation="auto",
                cache_salt="",
                tenant="mio",
                conversation_id="conv_1",
                persona=PERSONA,
            ),
            **fields,
        )

    def user(self, text: str) -> None:
        """Say something."""
        self.messages.append(ChatMessage("user", text))

    async def reply(self, **fields: Any) -> list[int]:
        """Ask for a reply and wait for its end; return its prompt's ids."""
        self.count += 1
        request_id = f"resp_{self.count}"
        self.replies.start(self.wanted(request_id=request_id, **fields))
        await asyncio.sleep(1)
        assert self.deltas[-1].request_id == request_id
        assert self.deltas[-1].finish_reason is not None
        text = "".join(delta.text for delta in self.deltas if delta.request_id == request_id)
        self.messages.append(ChatMessage("assistant", text))
        return list(self.engine.prompts.values())[-1]

    def reasons(self) -> dict[str, float]:
        """How often turns were not appended."""
        (family,) = self.state.metrics.rerenders.collect()
        return {
            sample.labels["reason"]: sample.value
            for sample in family.samples
            if sample.name.endswith("_total")
        }


@contextlib.asynccontextmanager
async def desk(engine: FakeEngine | None = None, **settings: object) -> AsyncIterator[Desk]:
    """Make one; at the end the session goes, and nothing may be left behind."""
    paths = {name.replace("__", ".", 1): value for name, value in settings.items()}
    one = Desk(engine or FakeEngine(), paths)
    yield one
    one.replies.close()
    await asyncio.sleep(1)
    assert one.engine.num_live == 0
    assert len(one.replies) == 0
