"""The server that is attacked: a process of its own, with one line in for a question about itself.

``python -m tests.attacks.target [PATH=JSON …]`` serves the scripted engine, or with ``engine=demo``
the real one with the demo model. It prints the ready line of the server; after that each line on
its standard input is a JSON object with an ``op``, answered by one JSON line:

* ``gauges`` — what must come back to where it was after every attack.
* ``busiest`` — the most processor time that the loop took between two beats, since last asked.
* ``script`` — sets fields of the scripted engine.
* ``die`` — the scripted engine is lost.
* ``keepalive`` — sets the seconds between pings, and for the pong, of sockets to come.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Any

import uvloop

from engine.config import EngineConfig
from engine.progress import LoadProgress
from server import app
from server.config_loader import load_settings
from server.log_lines import configure_logging
from server.sockets.arrivals import Arrival
from server.sockets.front_door import KEEPALIVE_S, FrontDoor
from server.sockets.roster import Roster
from server.sockets.tls_arrivals import TlsArrival
from server.state import ServerState
from server.stop_signal import StopSignal
from tests.support.fake_engine import FakeEngine

SONG = "sing "
"""A user who says this and a number hears that number's song, and nobody else does."""

LONG = "go on and on"
"""Whoever says this gets a reply of many thousand tokens."""

FLOOD = "flood me"
"""And this is a million characters without a single space."""

ECHO = "repeat: "
"""What stands behind it is the reply."""

MAX_MODEL_LEN = 16_384

SONG_CHARS = 48
_BEAT_S = 0.01
_ALPHABET = "abcdefghijklmnopqrstuvwxyz,. あいうえお漢字🙂é"


def song(seed: int) -> str:
    """The words that belong to a seed."""
    return "".join(random.Random(seed).choices(_ALPHABET, k=SONG_CHARS)).strip() + "!"


@dataclass
class ListeningEngine(FakeEngine):
    """Says what the user's last message asks for."""

    def reply_to(self, prompt_token_ids: Sequence[int]) -> Sequence[str]:
        """Sing, repeat, go on, or say hello."""
        prompt = "".join(map(chr, prompt_token_ids))
        said = prompt.rpartition("<user>")[2].rpartition("<assistant>")[0]
        if said.startswith(SONG):
            return song(int(said.removeprefix(SONG)))
        if said.startswith(ECHO):
            return said.removeprefix(ECHO)
        if said.startswith(FLOOD):
            return "x" * 2**20
        return "On and on. " * 5000 if said.startswith(LONG) else self.reply


class Control:
    """Answers questions about the running server."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.door: FrontDoor | None = None
        self.roster: Roster | None = None
        self.keepalive_s = KEEPALIVE_S
        self._busiest_s = 0.0
        self._computed_s = time.thread_time()

    def beat(self) -> None:
        """Note how much the loop has computed since the last time, and come back soon."""
        now = time.thread_time()
        self._busiest_s = max(self._busiest_s, now - self._computed_s)
        self._computed_s = now
        asyncio.get_running_loop().call_later(_BEAT_S, self.beat)

    @property
    def state(self) -> ServerState:
        """The server's."""
        assert self.door is not None
        return self.door.state

    def gauges(self) -> dict[str, float]:
        """Everything that an attack might leave behind."""
        assert self.door is not None
        assert self.roster is not None
        began = time.thread_time()
        gc.collect()
        self._computed_s += time.thread_time() - began  # our own doing, not the server's
        metrics = self.state.metrics
        return {
            "sockets": metrics.ws_active._value.get(),
            "sessions": len(self.roster),
            "connections": len(self.door.accept_limits),
            "pending_heads": self.door.accept_limits.num_pending,
            "requests": self.state.engine.health().num_live_requests if self.state.engine else 0,
            "kv_blocks": round(metrics.kv_used_bytes._value.get()),
            "tasks": len(asyncio.all_tasks()),
            "descriptors": len(os.listdir("/proc/self/fd")),
        }

    def perform(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one line."""
        match order.pop("op"):
            case "gauges":
                return self.gauges()
            case "script":
                for name, value in order.items():
                    setattr(self.engine, name, value)
                return {}
            case "busiest":
                busiest, self._busiest_s = self._busiest_s, 0.0
                return {"busiest_s": busiest}
            case "die":
                self.engine.die()
                return {}
            case "keepalive":
                self.keepalive_s = float(order["seconds"])
                return {}
            case other:
                return {"error": f"no such op: {other}"}


def listen(control: Control, loop: asyncio.AbstractEventLoop, on_end: Callable[[], None]) -> None:
    """Have the loop answer line by line until the other side is gone; runs in a thread."""

    def answer(line: str) -> None:
        try:
            reply = control.perform(json.loads(line))
        except Exception as error:
            reply = {"failure": repr(error)}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()

    for line in sys.stdin:
        loop.call_soon_threadsafe(answer, line)
    loop.call_soon_threadsafe(on_end)


async def run(engine_name: str, values: dict[str, object]) -> int:
    """Serve until told to stop, by a signal or because nobody asks any more."""
    settings = load_settings(command_line={"listen.port": 0, **values}).settings
    configure_logging(settings.log)
    stop = StopSignal()
    engine: Any = ListeningEngine(step_s=0.001, max_model_len=MAX_MODEL_LEN)
    control = Control(engine)

    class KnownDoor(FrontDoor):
        """The server's door, known to the control."""

        async def open(self) -> None:
            control.door = self
            await super().open()

        def _make_arrival(self, *args: Any, **kwargs: Any) -> Arrival | TlsArrival:
            pace = dict.fromkeys(("ping_interval", "ping_timeout"), control.keepalive_s)
            return super()._make_arrival(*args, **(kwargs | pace))

    class KnownRoster(Roster):
        """The server's sessions, likewise."""

        def __init__(self, state: ServerState) -> None:
            control.roster = self
            super().__init__(state)

    async def start(config: EngineConfig, progress: LoadProgress) -> Any:
        if engine_name == "demo":
            control.engine = await app.start_engine(config, progress)
        return control.engine

    def hurry() -> None:
        stop.ask()
        stop.ask()

    vars(app).update(FrontDoor=KnownDoor, Roster=KnownRoster)
    loop = asyncio.get_running_loop()
    control.beat()
    Thread(target=listen, args=(control, loop, hurry), daemon=True).start()
    return await app.serve(settings, start=start, stop=stop)


def main(arguments: list[str]) -> int:
    """Read the settings and serve."""
    values: dict[str, object] = {}
    for argument in arguments:
        path, _, value = argument.partition("=")
        values[path] = json.loads(value)
    engine_name = str(values.pop("engine", "scripted"))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(engine_name, values))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
