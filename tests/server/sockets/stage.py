"""A live session on a socket in memory, with everything around it in the test's hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from server.characters.catalog import Catalog
from server.characters.character import Character
from server.config_loader import load_settings
from server.session.context import SessionContext
from server.session.session import Session
from server.session.settings import SessionLimits
from server.sockets.connection import Connection
from server.sockets.history import History
from server.sockets.live_session import LiveSession, Return
from server.state import ServerState
from server.store.interface import ConversationStore
from tests.support.fake_engine import FakeEngine
from tests.support.fake_socket import FakeSocket

ASK: list[dict[str, Any]] = [
    {
        "type": "conversation.item.create",
        "item": {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "secret words"}],
        },
    },
    {"type": "response.create"},
]


class Stage:
    """A running connection with everything around it in the test's hand."""

    def __init__(
        self,
        engine: FakeEngine,
        settings: dict[str, object],
        store: ConversationStore | None = None,
    ) -> None:
        self.engine = engine
        catalog = Catalog("fake", [Character.from_prompt("aoi", "You are Aoi.")])
        loaded = load_settings(command_line=settings)
        self.state = ServerState(settings=loaded.settings, catalog=catalog, engine=engine)
        self.socket = FakeSocket()
        self.session = Session(
            "sess_1",
            choice=catalog.resolve("aoi"),
            limits=SessionLimits(max_output_tokens=10**6),
            context=SessionContext(eager_prefill=loaded.settings.limits.eager_prefill),
        )
        history = History(self.session, store, "mio")
        self.live = LiveSession(self.session, self.state, engine, history)
        self.connection = Connection(self.socket, self.live, self.state)
        self.live.greet(self.connection, "token-1")
        self.running = asyncio.create_task(self.connection.run())

    def ask(self) -> None:
        """Say something and ask for a reply."""
        for event in ASK:
            self.socket.send(event)

    def come_back(self, last_event_id: str | None) -> FakeSocket:
        """Connect once more; returns the new socket."""
        self.socket = FakeSocket()
        self.connection = Connection(self.socket, self.live, self.state)
        self.live.come_back(self.connection, Return(last_event_id, "token-2"))
        self.running = asyncio.create_task(self.connection.run())
        return self.socket

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.state.metrics.registry.get_sample_value(name, labels) or 0.0


@contextlib.asynccontextmanager
async def stage(
    engine: FakeEngine | None = None,
    store: ConversationStore | None = None,
    **settings: object,
) -> AsyncIterator[Stage]:
    """Run a session; at the end the client leaves for good, and nothing may be left behind."""
    paths = {name.replace("__", ".", 1): value for name, value in settings.items()}
    one = Stage(engine or FakeEngine(), paths, store)
    yield one
    one.socket.hang_up()
    await one.running
    await asyncio.sleep(one.state.settings.resume.window_s + 1)
    assert one.live.is_ended
    assert len(one.live.replies) == 0
    assert one.engine.num_live == 0
