"""The production server around an engine that costs next to nothing: what is measured is the rest.

``python -m tools.gateway.scripted_server STEP_S [--lag FILE] [PATH=VALUE …]`` runs ``serve()`` on
uvloop until it gets a signal. The engine says what ``tools.gateway.script`` makes of the prompt,
one token per step for each live reply; ``tools.gateway.pulse`` tells when a step is due, as a
message of the engine's process would. Where the loop is behind, several steps come at once, and
bring each reply one delta with their tokens, as the engine's client does it. With ``--lag`` a
second pulse asks the loop how late it is.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvloop

from engine.request import FinishReason
from server.app import serve, settle
from server.config_loader import load_settings
from server.log_lines import configure_logging
from server.open_files import raise_limit
from tests.support.fake_engine import FakeEngine
from tools.gateway.pulse import Pulse
from tools.gateway.script import Script, read_wish

_CONTEXT = 1_000_000
_PROBE_S = 0.005
_FLUSH_S = 0.5
_DEFAULT = Script(seed=0, num_pieces=32)


class ScriptedEngine(FakeEngine):
    """Says what each prompt asks for, steps when it is told to, and remembers nothing."""

    def __init__(self) -> None:
        super().__init__(max_model_len=_CONTEXT, obeys_max_tokens=False)

    def reply_to(self, prompt_token_ids: Sequence[int]) -> Sequence[str]:
        """The last script that the prompt asks for."""
        return (read_wish("".join(map(chr, prompt_token_ids))) or _DEFAULT).pieces()

    def take_steps(self, num_steps: int) -> None:
        """As many tokens for everybody, in one delta each."""
        if self._live:
            self.chars_per_step = num_steps
            self._run_step()

    def _arm(self) -> None:
        pass  # a pulse says when

    def _end(
        self, request_id: str, live: object, reason: FinishReason, code: str | None = None
    ) -> None:
        for notes in (self.prompts, self.params, self.services):
            notes.pop(request_id, None)
        for told in (self.cancelled, self.heard, self.released):
            told.clear()
        super()._end(request_id, live, reason, code)  # type: ignore[arg-type]


def read_settings(pairs: Sequence[str]) -> dict[str, object]:
    """Read ``PATH=VALUE`` pairs; a value is TOML, or else text."""
    values: dict[str, object] = {}
    for pair in pairs:
        path, _, text = pair.partition("=")
        try:
            values[path] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            values[path] = text
    return values


@contextlib.contextmanager
def _lag_probe(file: Path | None) -> Iterator[None]:
    """Ask the loop every few milliseconds how late it is, and write it down."""
    if file is None:
        yield
        return
    pulse = Pulse(_PROBE_S)
    with file.open("ab") as sink:

        async def write_down() -> None:
            while True:
                await asyncio.sleep(_FLUSH_S)
                pulse.late.tofile(sink)
                sink.flush()
                del pulse.late[:]

        task = asyncio.create_task(write_down())
        try:
            yield
        finally:
            task.cancel()
            pulse.close()


async def run(step_s: float, lag_file: Path | None, values: dict[str, object]) -> int:
    """Serve; returns the exit code."""
    command_line = {"listen.port": 0, **values}
    settings = load_settings(environment=os.environ, command_line=command_line).settings
    configure_logging(settings.log)
    raise_limit(settings.limits.max_connections)
    engine = ScriptedEngine()
    pulse = Pulse(step_s, lambda num_beats: _step(engine, pulse, num_beats))

    async def start(*_: object) -> ScriptedEngine:
        return engine

    def ready(url: str) -> None:
        settle()
        print(f"ready {url}", flush=True)

    try:
        with _lag_probe(lag_file):
            return await serve(settings, start=start, on_ready=ready)
    finally:
        pulse.close()


def _step(engine: ScriptedEngine, pulse: Pulse, num_beats: int) -> None:
    del pulse.late[:]
    engine.take_steps(num_beats)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m tools.gateway.scripted_server")
    parser.add_argument("step_s", type=float, help="seconds between two tokens of a reply")
    parser.add_argument("--lag", type=Path, help="where to write the loop's lateness")
    parser.add_argument("settings", nargs="*", metavar="PATH=VALUE", help="of the server")
    options = parser.parse_args(arguments)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(options.step_s, options.lag, read_settings(options.settings)))


if __name__ == "__main__":
    sys.exit(main())
