"""Many live streams beside readers that have stalled: what do those cost the others?

    python -m tools.gateway.slow_readers --streams 256 --rate 80 --stalled 32

The same load without stalled readers and with them, in turn, each on a fresh server. The engine is
scripted and lives in the gateway's process: making its deltas is part of what is measured. Clients
run in other processes. Lateness is the event loop's own: another process writes the time into a
pipe every 5 ms, and the loop notes how much later it reads it; fan-out that holds the loop up
shows in it in full. A stalled reader has a receive buffer of 4 KiB, asks for the same kind of
text, and never reads. Memory counts from before the stalled readers come; every session keeps
what it has told for a while, so it grows with any stream until ``resume.max_told_bytes``.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tools.bench.bars import Bars, draw
from tools.bench.timing import percentile
from tools.gateway.crew import Line, crew, split
from tools.gateway.launched import Launched, scripted
from tools.gateway.raw_client import RawClient, StalledReaders, ask, open_raw
from tools.gateway.report import command_line, parser_of, progress_bar, surroundings, write
from tools.gateway.script import Script

_TARGET = "/v1/realtime?model=aoi"
_SPARE_S = 40.0
"""Replies are so much longer than the measurement: everybody has to come first."""
_EVICTED = re.compile(r"evicted=(\w+) seconds=([\d.]+)")
_WAYS = ("without", "with stalled readers")


@dataclass(frozen=True, slots=True)
class Share:
    """What one load process holds: an address, and a script for each of its streams."""

    address: tuple[str, int]
    scripts: Sequence[Script]


@dataclass(frozen=True, slots=True)
class Heard:
    """What streams have received between two words: frames, and the tokens in them; and ends."""

    frames: int
    tokens: int
    num_gone: int


@dataclass(frozen=True, slots=True)
class Phase:
    """What one phase came to; times in milliseconds.

    Attributes:
        way: With stalled readers, or without.
        cpu_share: Of one core, the gateway's process.
        lag_p50_ms: Lateness of the loop.
        lag_p99_ms: Likewise.
        lag_max_ms: Likewise.
        frames_per_s: That live streams received.
        tokens_per_s: In them, found by their text.
        tokens_due_per_s: Of them all; where fewer came, the gateway could not keep up.
        cpu_us_per_token: The gateway's, over the tokens that live streams received.
        rss_growth_mib: Of the gateway's process.
        evicted_after_s: Of each stalled reader, from its connection to its end.
        evictions: Reasons.
        live_cut_off: Live streams whose connection ended; there should be none.
    """

    way: str
    cpu_share: float
    lag_p50_ms: float
    lag_p99_ms: float
    lag_max_ms: float
    frames_per_s: float
    tokens_per_s: float
    tokens_due_per_s: float
    cpu_us_per_token: float
    rss_growth_mib: float
    evicted_after_s: list[float]
    evictions: list[str]
    live_cut_off: int


async def work(share: Share, line: Line) -> Heard:
    """Listen to all streams; count between ``begin`` and ``end``."""
    clients: list[RawClient] = []
    for script in share.scripts:
        client = await open_raw(share.address, _TARGET)
        client.write(ask(script.wish))
        clients.append(client)
        line.report(1)
    await asyncio.gather(*(client.talking for client in clients))
    line.ready()
    assert await line.hear() == "begin"
    begun = [(client.num_frames, client.num_text_bytes) for client in clients]
    assert await line.hear() == "end"
    ended = [(client.num_frames, client.num_text_bytes) for client in clients]
    num_frames = num_tokens = 0
    for script, (frames, size), (more_frames, more_size) in zip(
        share.scripts, begun, ended, strict=True
    ):
        num_frames += more_frames - frames
        num_tokens += num_tokens_in(script, more_size) - num_tokens_in(script, size)
    return Heard(num_frames, num_tokens, sum(client.closed.done() for client in clients))


def num_tokens_in(script: Script, num_text_bytes: int) -> int:
    """How many of a script's tokens so much of its text holds, as it is written in JSON."""
    sizes = (len(msgspec.json.encode(piece)) - 2 for piece in script.pieces())
    return bisect_right(list(accumulate(sizes)), num_text_bytes)


@dataclass(frozen=True, slots=True)
class Load:
    """What all phases have in common."""

    streams: int
    rate: float
    stalled: int
    seconds: float
    processes: int
    seed: int
    settings: Sequence[str]

    def scripts(self) -> list[Script]:
        """Of the live streams."""
        num_pieces = int((self.seconds + _SPARE_S) * self.rate)
        return [Script(self.seed * 1000 + n, num_pieces) for n in range(self.streams)]

    def stalled_wishes(self) -> list[str]:
        """Of the stalled readers."""
        num_pieces = int((self.seconds + _SPARE_S) * self.rate)
        return [Script(self.seed * 7000 + n, num_pieces).wish for n in range(self.stalled)]


def run_phase(load: Load, way: str, progress: Progress) -> Phase:
    """One phase, on a fresh server."""
    settings = ["log.level=info", f"limits.max_connections={load.streams + load.stalled + 64}"]
    with scripted(1 / load.rate, [*settings, *load.settings], has_lag=True) as server:
        shares = [Share(server.address, part) for part in split(load.scripts(), load.processes)]
        with crew(work, shares) as listeners:
            bar = progress.add_task(f"{way}: streams", total=load.streams)
            listeners.ready(lambda done: progress.advance(bar, done))
            before = server.look()
            stalled = None
            if way != _WAYS[0]:
                stalled = StalledReaders(server.address, _TARGET, load.stalled_wishes())
            listeners.tell("begin")
            began = time.monotonic()
            _sleep(load.seconds, progress, f"{way}: seconds")
            listeners.tell("end")
            ended = time.monotonic()
            after = server.look()
            heard = listeners.results()
            if stalled is not None:
                stalled.close()
        late = _late_after_flush(server, began, ended)
        evictions = _EVICTED.findall(server.log_text())
    seconds = ended - began
    tokens_per_s = sum(one.tokens for one in heard) / seconds
    share = after.cpu_share_since(before)
    return Phase(
        way=way,
        cpu_share=share,
        lag_p50_ms=1e3 * percentile(late, 50),
        lag_p99_ms=1e3 * percentile(late, 99),
        lag_max_ms=1e3 * max(late),
        frames_per_s=sum(one.frames for one in heard) / seconds,
        tokens_per_s=tokens_per_s,
        tokens_due_per_s=load.streams * load.rate,
        cpu_us_per_token=1e6 * share / tokens_per_s,
        rss_growth_mib=(after.rss_kib - before.rss_kib) / 1024,
        evicted_after_s=sorted(float(after_s) for _, after_s in evictions),
        evictions=sorted(reason for reason, _ in evictions),
        live_cut_off=sum(one.num_gone for one in heard),
    )


def _late_after_flush(server: Launched, began: float, ended: float) -> list[float]:
    time.sleep(1.2)  # the server writes it down twice a second
    return server.late_s(began, ended)


def _sleep(seconds: float, progress: Progress, name: str) -> None:
    bar = progress.add_task(name, total=int(seconds))
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(1.0, left))
        progress.advance(bar)


def medians(phases: Sequence[Phase], way: str) -> dict[str, float]:
    """Of each figure, over the phases of one way."""
    ours = [asdict(phase) for phase in phases if phase.way == way]
    names = [name for name, value in ours[0].items() if isinstance(value, int | float)]
    return {name: statistics.median(one[name] for one in ours) for name in names}


def table(phases: Sequence[Phase]) -> Table:
    """All phases, and the medians."""
    shown = Table("", *(phase.way for phase in phases), *(f"median {way}" for way in _WAYS))
    middle = [medians(phases, way) for way in _WAYS]
    for name in middle[0]:
        values = [getattr(phase, name) for phase in phases] + [one[name] for one in middle]
        shown.add_row(name.replace("_", " "), *(f"{value:,.3g}" for value in values))
    spans = [phase.evicted_after_s for phase in phases]
    cells = [f"{len(one)}: {one[0]:.1f} to {one[-1]:.1f} s" if one else "" for one in spans]
    shown.add_row("evicted", *cells, "", "")
    return shown


def picture(phases: Sequence[Phase]) -> str:
    """Lateness and processor, without and with stalled readers."""
    rounds = [f"round {number + 1}" for number in range(len(phases) // len(_WAYS))]

    def values(name: str) -> dict[tuple[int, int], float]:
        return {
            (place // len(_WAYS), place % len(_WAYS)): getattr(phase, name)
            for place, phase in enumerate(phases)
        }

    charts = [
        Bars(title, rounds, _WAYS, values(name), ("#8a8f98", "#e0563b"), "{:.2f}".format, True)
        for title, name in (
            ("Lateness of the event loop, median, ms", "lag_p50_ms"),
            ("Lateness of the event loop, 99 of 100, ms", "lag_p99_ms"),
            ("The gateway's share of one core", "cpu_share"),
        )
    ]
    return draw(charts, "Live streams without and with stalled readers")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is 1 where a live stream was cut off."""
    parser = parser_of("slow_readers", __doc__)
    parser.add_argument("--streams", type=int, default=256, help="live ones (%(default)s)")
    parser.add_argument("--rate", type=float, default=80.0, help="tokens/s each (%(default)s)")
    parser.add_argument("--stalled", type=int, default=32, help="readers (%(default)s)")
    parser.add_argument("--seconds", type=float, default=35.0, help="of a phase (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="of both ways (%(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="of the load (%(default)s)")
    parser.add_argument("--svg", type=Path, help="where to draw it")
    options = parser.parse_args(arguments)
    load = Load(
        options.streams,
        options.rate,
        options.stalled,
        options.seconds,
        options.processes,
        options.seed,
        options.set,
    )
    machine = surroundings()
    phases = []
    with progress_bar(Console(stderr=True)) as progress:
        for _ in range(options.rounds):
            phases += [run_phase(load, way, progress) for way in _WAYS]
    Console(width=140).print(table(phases))
    report = {
        "command": command_line("slow_readers", arguments),
        "machine": machine,
        "phases": [asdict(phase) for phase in phases],
        "medians": {way: medians(phases, way) for way in _WAYS},
    }
    write(options.json, report)
    if options.svg:
        options.svg.write_text(picture(phases) + "\n", encoding="utf-8")
    return int(any(phase.live_cut_off for phase in phases))


if __name__ == "__main__":
    raise SystemExit(main())
