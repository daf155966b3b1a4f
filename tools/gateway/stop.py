"""SIGTERM amid running replies and stalled readers: the exit code, and how long it takes.

    python -m tools.gateway.stop --streams 32 --stalled 32

Each case runs on a server of its own: replies that end within the drain's time, replies that do
not, and the same with a second SIGTERM after one second. Beside the streams that are listened to
there are readers that have stalled and replies whose client has gone. The bound is the drain's
time and the close timeout, and one second for the engine and the process itself.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import msgspec
from rich.console import Console
from rich.table import Table

from tools.gateway.crew import Line, crew
from tools.gateway.launched import scripted
from tools.gateway.raw_client import RawClient, StalledReaders, ask, open_raw
from tools.gateway.report import command_line, parser_of, progress_bar, surroundings, write
from tools.gateway.script import Script

_TARGET = "/v1/realtime?model=aoi&events=character.v1"
_STALLED_TARGET = "/v1/realtime?model=aoi"
"""Without the extension: nobody shapes a mouth to 12,000 characters a second."""
_RATE = 20.0
_LONG_CHARS = 600
_SPARE_S = 1.0
_PATIENCE_S = 120.0
_SETTLE_S = 3.0
"""Seconds until the buffers of stalled readers are full."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is stopped.

    Attributes:
        name: Of it.
        reply_s: Length of the replies.
        has_second: Whether a second SIGTERM follows.
    """

    name: str
    reply_s: float
    has_second: bool


@dataclass(frozen=True, slots=True)
class Share:
    """The streams: those that are listened to, and those whose client goes."""

    address: tuple[str, int]
    wishes: Sequence[str]
    num_gone: int


@dataclass(slots=True)
class Heard:
    """What the listeners were told: statuses of their replies, close codes, ``going_away``."""

    statuses: Counter[str]
    close_codes: Counter[str]
    num_warned: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """How one case went."""

    case: str
    exit_code: int
    seconds: float
    bound_s: float
    statuses: dict[str, int]
    close_codes: dict[str, int]
    warned: int
    tracebacks: int


async def work(share: Share, line: Line) -> Heard:
    """Listen to all of them until the server is gone."""
    heard = Heard(Counter(), Counter(), 0)

    def note(text: bytes) -> None:
        event = msgspec.json.decode(text)
        if event["type"] == "response.done":
            heard.statuses[event["response"]["status"]] += 1
        heard.num_warned += event["type"] == "character.session.going_away"

    clients: list[RawClient] = []
    for wish in share.wishes:
        client = await open_raw(share.address, _TARGET, note)
        client.write(ask(wish))
        clients.append(client)
    await asyncio.gather(*(client.talking for client in clients))
    for client in clients[: share.num_gone]:
        client.abort()
    line.ready()
    listening = clients[share.num_gone :]
    await asyncio.gather(*(client.closed for client in listening))
    heard.close_codes.update(str(client.close_code) for client in listening)
    return heard


def run_case(
    case: Case, *, streams: int, gone: int, stalled: int, drain_s: float, settings: Sequence[str]
) -> Stopped:
    """Start a server, let it talk, and stop it."""
    values = [f"drain.timeout_s={drain_s}", "drain.close_timeout_s=2.0", *settings]
    with scripted(1 / _RATE, values) as server:
        num_pieces = int(case.reply_s * _RATE)
        wishes = [Script(seed, num_pieces).wish for seed in range(streams + gone)]
        long = [Script(seed, num_pieces, _LONG_CHARS).wish for seed in range(stalled)]
        with crew(work, [Share(server.address, wishes, gone)]) as listeners:
            listeners.ready()
            readers = StalledReaders(server.address, _STALLED_TARGET, long)
            time.sleep(_SETTLE_S)
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            if case.has_second:
                time.sleep(1.0)
                server.process.send_signal(signal.SIGTERM)
            try:
                code = server.process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                code = -1
                server.kill()
            seconds = time.monotonic() - began
            (heard,) = listeners.results()
            readers.close()
        tracebacks = server.log_text().count("Traceback")
    drain = 1.0 if case.has_second else drain_s
    return Stopped(
        case=case.name,
        exit_code=code,
        seconds=seconds,
        bound_s=drain + 2.0 + _SPARE_S,
        statuses=dict(heard.statuses),
        close_codes=dict(heard.close_codes),
        warned=heard.num_warned,
        tracebacks=tracebacks,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is 1 where a server did not end well, or in time."""
    parser = parser_of("stop", __doc__)
    parser.add_argument("--streams", type=int, default=32, help="listened to (%(default)s)")
    parser.add_argument("--gone", type=int, default=8, help="whose client has gone (%(default)s)")
    parser.add_argument("--stalled", type=int, default=32, help="readers (%(default)s)")
    parser.add_argument("--drain", type=float, default=8.0, help="seconds (%(default)s)")
    options = parser.parse_args(arguments)
    machine = surroundings()
    cases = [
        Case("replies end in time", _SETTLE_S + options.drain / 2, False),
        Case("replies are longer", 100.0, False),
        Case("a second SIGTERM", 100.0, True),
    ]
    found = []
    with progress_bar(Console(stderr=True)) as progress:
        for case in progress.track(cases, description="cases"):
            found.append(
                run_case(
                    case,
                    streams=options.streams,
                    gone=options.gone,
                    stalled=options.stalled,
                    drain_s=options.drain,
                    settings=options.set,
                )
            )
    table = Table("", "exit code", "seconds", "bound", "replies", "close codes", "warned")
    for one in found:
        cells = (one.exit_code, f"{one.seconds:.2f}", f"{one.bound_s:.1f}", one.statuses)
        table.add_row(one.case, *map(str, (*cells, one.close_codes, one.warned)))
    Console(width=120).print(table)
    command = command_line("stop", arguments)
    cases_found = [asdict(one) for one in found]
    write(options.json, {"command": command, "machine": machine, "cases": cases_found})
    return int(any(one.exit_code or one.seconds > one.bound_s for one in found))


if __name__ == "__main__":
    raise SystemExit(main())
