"""Random disconnects on many replies at once: is what was delivered equal to the byte?

    python -m tools.gateway.disconnects --replies 200 --minutes 10
    python -m tools.gateway.disconnects --engine real --replies 16 --minutes 10

First each of the sessions is held once without a fault, and its texts are kept. Then the same
sessions, with the same seeds, are held again and again, as many at once, while every socket is cut
at a random moment: while the handshake is sent or answered, right behind the greeting, right behind
a question, after any number of events, and by a relay between client and server that takes bytes
from the server and loses them, so that the server has seen them acknowledged. The client comes back
with its last event id and its token until every reply has ended. Each reply's text, put together
from its deltas, is compared with that of the undisturbed session; event ids must rise by one over
all sockets; the text that the reply's end states must be the one that its deltas have brought.

The scripted engine says a seeded text, so that the gateway alone is tried. The real engine is the
demo model in ``kaiwa serve``: seeded sampling at a temperature, in whatever company.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.console import Console

from tools.gateway.crew import Line, crew, split
from tools.gateway.delivered import Reply, compare
from tools.gateway.faults import Faults
from tools.gateway.launched import Launched, real, scripted
from tools.gateway.report import command_line, parser_of, progress_bar, show, surroundings, write
from tools.gateway.script import Script
from tools.gateway.visitor import GaveUp, Turn, Visitor

EngineKind = Literal["scripted", "real"]
_QUESTIONS = (
    "Hello! Who are you?",
    "What do you like to do on a rainy day?",
    "Tell me of a place you would like to see.",
    "What did you dream of last night?",
    "Do you remember what I asked you first?",
)
_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Share:
    """What one load process holds.

    Attributes:
        url: Of the server.
        sessions: Seeds of its sessions; as many at once.
        engine: Decides what is said.
        turns: Of a session.
        tokens: Of a reply.
        seconds: New sessions are begun for so long.
        mean_events: Between two cuts of an open socket.
        seed: Of the faults.
    """

    url: str
    sessions: Sequence[int]
    engine: EngineKind
    turns: int
    tokens: int
    seconds: float
    mean_events: float
    seed: int


@dataclass(slots=True)
class Tally:
    """What came of it."""

    sessions: int = 0
    replies: int = 0
    replies_that_differ: int = 0
    lost_bytes: int = 0
    extra_bytes: int = 0
    compared_bytes: int = 0
    replies_that_gave_up: int = 0
    ends_that_are_not_one: int = 0
    ends_that_state_another_text: int = 0
    ids_that_did_not_rise_by_one: int = 0
    events: int = 0
    disconnects: int = 0
    bytes_lost_in_flight: int = 0
    resumes: int = 0
    gaps: int = 0
    sessions_not_found_again: int = 0
    cuts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take another's counts in."""
        for name in self.__slots__:
            ours, theirs = getattr(self, name), getattr(other, name)
            if isinstance(ours, Counter):
                ours.update(theirs)
            else:
                setattr(self, name, ours + theirs)
        del self.examples[_EXAMPLES:]

    def add_visit(self, visitor: Visitor) -> None:
        """Take in what a session's client has been through."""
        heard = visitor.delivered
        self.sessions += 1
        self.ids_that_did_not_rise_by_one += heard.num_breaks
        self.events += heard.num_events
        self.disconnects += visitor.cuts.total()
        self.bytes_lost_in_flight += visitor.num_swallowed
        self.resumes += visitor.num_resumes
        self.gaps += visitor.num_gaps
        self.sessions_not_found_again += visitor.num_lost_sessions
        self.cuts.update(visitor.cuts)
        self.errors.update(heard.errors)

    def add_reply(self, due: str, reply: Reply) -> None:
        """Compare a reply with the undisturbed one."""
        self.replies += 1
        self.compared_bytes += len(due.encode())
        self.statuses[reply.status or "none"] += 1
        self.ends_that_are_not_one += reply.num_ends != 1
        self.ends_that_state_another_text += reply.final != reply.text
        difference = compare(due, reply.text)
        if not difference.is_none:
            self.replies_that_differ += 1
            self.lost_bytes += difference.lost
            self.extra_bytes += difference.extra
            if len(self.examples) < _EXAMPLES:
                self.examples.append(f"{due!r} came as {reply.text!r}")


def turns_of(share: Share, session: int) -> list[Turn]:
    """What is said in a session."""
    turns = []
    for number in range(share.turns):
        seed = session * 1000 + number
        item_id = f"item_{session}_{number}"
        if share.engine == "scripted":
            turns.append(Turn(item_id, Script(seed, share.tokens).wish))
            continue
        text = _QUESTIONS[(session + number) % len(_QUESTIONS)]
        response = {"seed": seed, "temperature": 0.9, "max_output_tokens": share.tokens}
        turns.append(Turn(item_id, text, response))
    return turns


async def work(share: Share, line: Line) -> Tally:
    """Hold the sessions undisturbed, then disturbed for as long as is wanted."""
    due: dict[int, list[str]] = {}

    async def undisturbed(session: int) -> None:
        visitor = Visitor(share.url)
        texts = []
        for turn in turns_of(share, session):
            texts.append((await visitor.say(turn)).text)
            line.report(1)
        await visitor.leave()
        assert not visitor.cuts, visitor.cuts
        due[session] = texts

    async with asyncio.TaskGroup() as group:
        for session in share.sessions:
            group.create_task(undisturbed(session))
    line.ready()
    assert await line.hear() == "begin"
    tally = Tally()
    end = time.monotonic() + share.seconds

    async def disturbed(session: int) -> None:
        count = 0
        while time.monotonic() < end:
            count += 1
            faults = Faults(hash((share.seed, session, count)), mean_events=share.mean_events)
            visitor = Visitor(share.url, faults)
            try:
                for turn, text in zip(turns_of(share, session), due[session], strict=True):
                    tally.add_reply(text, await visitor.say(turn))
                    line.report(1)
            except GaveUp:
                tally.replies_that_gave_up += 1
            await visitor.leave()
            tally.add_visit(visitor)

    async with asyncio.TaskGroup() as group:
        for session in share.sessions:
            group.create_task(disturbed(session))
    return tally


@contextlib.contextmanager
def _server(engine: EngineKind, rate: float, settings: Sequence[str]) -> Iterator[Launched]:
    if engine == "scripted":
        with scripted(1 / rate, settings) as server:
            yield server
        return
    with real(settings) as server:
        yield server


def measure(
    share: Share, *, replies: int, processes: int, rate: float, settings: Sequence[str]
) -> tuple[Tally, dict[str, Any]]:
    """Run it all; returns what came of it, and what the server says of it.

    Args:
        share: The load; its address and sessions are filled in.
        replies: At once.
        processes: Of the load.
        rate: Tokens per second of a reply, scripted.
        settings: Of the server, or arguments of ``kaiwa serve`` for the real engine.
    """
    console = Console(stderr=True)
    tally = Tally()
    with _server(share.engine, rate, settings) as server, progress_bar(console) as progress:
        parts = split(range(replies), processes)
        shares = [
            Share(**{**_fields(share), "url": server.url, "sessions": part}) for part in parts
        ]
        with crew(work, shares) as load:
            bar = progress.add_task("undisturbed", total=replies * share.turns)
            load.ready(lambda done: progress.advance(bar, done))
            before = server.look()
            load.tell("begin")
            bar = progress.add_task("disturbed: replies", total=None)
            for one in load.results(lambda done: progress.advance(bar, done)):
                tally.add(one)
            after = server.look()
            said = server.metrics()
            log = server.log_text()
    found = {
        "server_cpu_share": after.cpu_share_since(before),
        "server_rss_growth_kib": after.rss_kib - before.rss_kib,
        "server_open_files": (before.num_files, after.num_files),
        "server_resumes": said["kaiwa_resume_total"],
        "server_sessions_parked_at_the_end": said["kaiwa_sessions_parked"],
        "server_requests_running_at_the_end": said["kaiwa_num_requests_running"],
        "server_tracebacks": log.count("Traceback"),
        "server_log_lines": len(log.splitlines()),
    }
    return tally, found


def _fields(share: Share) -> dict[str, Any]:
    return {name: getattr(share, name) for name in share.__slots__}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is 1 where anything was lost, repeated or changed."""
    parser = parser_of("disconnects", __doc__)
    parser.add_argument("--engine", choices=("scripted", "real"), default="scripted")
    parser.add_argument("--replies", type=int, default=200, help="at once (%(default)s)")
    parser.add_argument("--minutes", type=float, default=10.0, help="of faults (%(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="of a session (%(default)s)")
    parser.add_argument("--tokens", type=int, default=120, help="of a reply (%(default)s)")
    parser.add_argument("--rate", type=float, default=20.0, help="tokens/s, scripted (%(default)s)")
    parser.add_argument(
        "--mean-events", type=float, default=50.0, help="between two cuts (%(default)s)"
    )
    parser.add_argument("--processes", type=int, default=4, help="of the load (%(default)s)")
    parser.add_argument(
        "serve", nargs="*", help="with --engine real: arguments of kaiwa serve, behind --"
    )
    options = parser.parse_args(arguments)
    share = Share(
        url="",
        sessions=(),
        engine=options.engine,
        turns=options.turns,
        tokens=options.tokens,
        seconds=60 * options.minutes,
        mean_events=options.mean_events,
        seed=options.seed,
    )
    machine = surroundings()
    tally, said = measure(
        share,
        replies=options.replies,
        processes=min(options.processes, options.replies),
        rate=options.rate,
        settings=options.set if options.engine == "scripted" else options.serve,
    )
    rows = {name: getattr(tally, name) for name in Tally.__slots__} | said
    show(f"{options.replies} replies at once, {options.engine} engine", rows, Console())
    command = command_line("disconnects", arguments)
    write(options.json, {"command": command, "machine": machine, **rows})
    faults = (
        tally.replies_that_differ
        + tally.replies_that_gave_up
        + tally.ids_that_did_not_rise_by_one
        + tally.ends_that_are_not_one
        + tally.ends_that_state_another_text
    )
    return int(bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
