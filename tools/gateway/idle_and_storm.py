"""Ten thousand connections that do nothing, and two thousand that all come back at once.

    python -m tools.gateway.idle_and_storm --idle 10000 --storm 2000

Beside it, in the same run, a bare ``websockets`` echo server with the same settings for
connections. An idle connection of Kaiwa is a whole session: greeted, with its conversation, and
with what it needs to be resumed. Memory is the growth of the server's resident set from before
the first to after the last, over their number; clients live in other processes.

In the storm all clients are cut at once, and all connect again at once. With Kaiwa each resumes its
session, with its token and its last event id, and is counted when the greeting that says so has
come; with the echo server it is counted when an echo has come. Times are from the word to come back
until each client's answer, so the slowest of them is the time until everybody is there again.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import msgspec
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tools.bench.timing import percentile
from tools.gateway.crew import Line, crew
from tools.gateway.launched import Launched, launched, scripted
from tools.gateway.raw_client import RawClient, frame, open_raw
from tools.gateway.report import command_line, parser_of, progress_bar, surroundings, write

Kind = Literal["kaiwa", "echo"]
_TARGET = "/v1/realtime?model=aoi"
_AT_ONCE = 64
_SETTLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Share:
    """What one load process holds.

    Attributes:
        kind: Of server.
        address: Of it.
        count: Connections.
        from_host: Local address; each has its own ports.
        storms: How often all are cut and come back.
    """

    kind: Kind
    address: tuple[str, int]
    count: int
    from_host: str
    storms: int


class Guest:
    """One client, over its sockets."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self._client: RawClient | None = None
        self._token: str | None = None
        self._last_event_id = ""
        self._answered: asyncio.Future[bool] | None = None

    async def come(self) -> bool:
        """Connect and wait for an answer; tells whether it is where it was."""
        self._answered = asyncio.get_running_loop().create_future()
        target = _TARGET
        if self._token is not None:
            target += f"&resume={self._token}&last_event_id={self._last_event_id}"
        share = self._share
        self._client = await open_raw(share.address, target, self._hear, from_host=share.from_host)
        if share.kind == "echo":
            self._client.write(frame(b"hello"))
        return await self._answered

    def cut(self) -> None:
        """Lose the socket."""
        assert self._client is not None
        self._client.abort()

    @property
    def is_here(self) -> bool:
        """Whether its socket is still open."""
        return self._client is not None and not self._client.closed.done()

    def _hear(self, text: bytes) -> None:
        assert self._answered is not None
        if self._answered.done():
            return
        if self._share.kind == "echo":
            self._answered.set_result(True)
            return
        event = msgspec.json.decode(text)
        resume = event["session"]["resume"]
        is_back = self._token is None or resume.get("resumed", False)
        self._token, self._last_event_id = resume["token"], event["event_id"]
        self._answered.set_result(is_back)


async def work(share: Share, line: Line) -> tuple[list[list[float]], int, int]:
    """Come in good order, stay, and then be cut and come back as often as is wanted.

    Returns:
        Seconds of each client by storm, how many found their session no more, and how many
        connections had ended by themselves.
    """
    guests = [Guest(share) for _ in range(share.count)]
    for begin in range(0, len(guests), _AT_ONCE):
        some = guests[begin : begin + _AT_ONCE]
        await asyncio.gather(*(guest.come() for guest in some))
        line.report(len(some))
    line.ready()
    assert await line.hear() == "stay"
    num_gone = sum(not guest.is_here for guest in guests)
    times, num_lost = [], 0
    for _ in range(share.storms):
        line.ready()
        assert await line.hear() == "cut"
        for guest in guests:
            guest.cut()
        line.ready()
        assert await line.hear() == "come"
        began = time.monotonic()

        async def come(guest: Guest, began: float = began) -> tuple[float, bool]:
            is_back = await guest.come()
            return time.monotonic() - began, is_back

        seconds = await asyncio.gather(*(come(guest) for guest in guests))
        times.append([one for one, _ in seconds])
        num_lost += sum(not is_back for _, is_back in seconds)
    return times, num_lost, num_gone


@dataclass(frozen=True, slots=True)
class Idle:
    """What idle connections cost."""

    kind: Kind
    connections: int
    rss_before_mib: float
    rss_per_connection_kib: float
    connections_per_s: float
    cpu_ms_per_connection: float
    cpu_share_while_idle: float
    ended_by_themselves: int


@dataclass(frozen=True, slots=True)
class Storm:
    """One storm: seconds until half of them, and all, were back."""

    kind: Kind
    clients: int
    p50_s: float
    max_s: float
    cpu_ms_per_client: float
    not_resumed: int


@contextlib.contextmanager
def _server(kind: Kind, connections: int, settings: Sequence[str]) -> Iterator[Launched]:
    if kind == "echo":
        with launched("tools.gateway.echo_server", []) as server:
            yield server
        return
    limits = [f"limits.max_connections={connections + 64}"]
    limits += [f"resume.max_parked={connections + 64}"]
    with scripted(0.05, [*limits, *settings]) as server:
        yield server


def _shares(kind: Kind, server: Launched, count: int, processes: int, storms: int) -> list[Share]:
    parts = [count // processes + (n < count % processes) for n in range(processes)]
    return [
        Share(kind, server.address, part, f"127.0.0.{2 + n}", storms)
        for n, part in enumerate(parts)
    ]


def measure_idle(
    kind: Kind,
    *,
    count: int,
    seconds: float,
    processes: int,
    settings: Sequence[str],
    progress: Progress,
) -> Idle:
    """Have so many come and stay."""
    with _server(kind, count, settings) as server:
        before = server.look()
        with crew(work, _shares(kind, server, count, processes, 0)) as guests:
            bar = progress.add_task(f"{kind}: connections", total=count)
            guests.ready(lambda done: progress.advance(bar, done))
            here = server.look()
            time.sleep(seconds)
            after = server.look()
            guests.tell("stay")
            num_gone = sum(gone for _, _, gone in guests.results())
    return Idle(
        kind=kind,
        connections=count,
        rss_before_mib=before.rss_kib / 1024,
        rss_per_connection_kib=(after.rss_kib - before.rss_kib) / count,
        connections_per_s=count / (here.at - before.at),
        cpu_ms_per_connection=1e3 * (here.cpu_s - before.cpu_s) / count,
        cpu_share_while_idle=after.cpu_share_since(here),
        ended_by_themselves=num_gone,
    )


def measure_storms(
    kind: Kind,
    *,
    count: int,
    storms: int,
    processes: int,
    settings: Sequence[str],
    progress: Progress,
) -> list[Storm]:
    """Have so many be cut and come back, again and again."""
    found, cpu = [], []
    with (
        _server(kind, 2 * count, settings) as server,
        crew(work, _shares(kind, server, count, processes, storms)) as guests,
    ):
        bar = progress.add_task(f"{kind}: storm of", total=count)
        guests.ready(lambda done: progress.advance(bar, done))
        guests.tell("stay")
        for _ in range(storms):
            guests.ready()
            guests.tell("cut")
            guests.ready()
            time.sleep(_SETTLE_S)
            before = server.look()
            guests.tell("come")
            cpu.append(before.cpu_s)
        results = guests.results()
        cpu.append(server.look().cpu_s)
    num_lost = sum(lost for _, lost, _ in results)
    for number in range(storms):
        seconds = [one for times, _, _ in results for one in times[number]]
        found.append(
            Storm(
                kind=kind,
                clients=count,
                p50_s=percentile(seconds, 50),
                max_s=max(seconds),
                cpu_ms_per_client=1e3 * (cpu[number + 1] - cpu[number]) / count,
                not_resumed=num_lost,
            )
        )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is 1 where a session was not found again."""
    parser = parser_of("idle_and_storm", __doc__)
    parser.add_argument("--idle", type=int, default=10_000, help="connections (%(default)s)")
    parser.add_argument("--idle-seconds", type=float, default=25.0, help="(%(default)s)")
    parser.add_argument("--storm", type=int, default=2000, help="clients (%(default)s)")
    parser.add_argument("--storms", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="of the load (%(default)s)")
    options = parser.parse_args(arguments)
    machine = surroundings()
    kinds: tuple[Kind, Kind] = ("echo", "kaiwa")
    idle, storms = [], []
    with progress_bar(Console(stderr=True)) as progress:
        for kind in kinds:
            idle.append(
                measure_idle(
                    kind,
                    count=options.idle,
                    seconds=options.idle_seconds,
                    processes=options.processes,
                    settings=options.set,
                    progress=progress,
                )
            )
        for kind in kinds:
            storms += measure_storms(
                kind,
                count=options.storm,
                storms=options.storms,
                processes=options.processes,
                settings=options.set,
                progress=progress,
            )
    _show(idle, storms)
    report = {
        "command": command_line("idle_and_storm", arguments),
        "machine": machine,
        "idle": [asdict(one) for one in idle],
        "storms": [asdict(one) for one in storms],
    }
    write(options.json, report)
    return int(any(one.not_resumed for one in storms))


def _show(idle: Sequence[Idle], storms: Sequence[Storm]) -> None:
    console = Console(width=120)
    table = Table(
        "idle", "connections", "KiB each", "accepted/s", "CPU ms each", "CPU idle", "gone"
    )
    for one in idle:
        table.add_row(
            one.kind,
            str(one.connections),
            f"{one.rss_per_connection_kib:.1f}",
            f"{one.connections_per_s:.0f}",
            f"{one.cpu_ms_per_connection:.2f}",
            f"{one.cpu_share_while_idle:.1%}",
            str(one.ended_by_themselves),
        )
    console.print(table)
    table = Table("storm", "clients", "half back, s", "all back, s", "CPU ms each", "not resumed")
    for kind in dict.fromkeys(storm.kind for storm in storms):
        ours = [storm for storm in storms if storm.kind == kind]
        table.add_row(
            f"{kind}, median of {len(ours)}",
            str(ours[0].clients),
            f"{statistics.median(one.p50_s for one in ours):.2f}",
            f"{statistics.median(one.max_s for one in ours):.2f}",
            f"{statistics.median(one.cpu_ms_per_client for one in ours):.2f}",
            str(max(one.not_resumed for one in ours)),
        )
    console.print(table)


if __name__ == "__main__":
    raise SystemExit(main())
