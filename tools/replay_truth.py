"""Does the load client report what happened? A scripted server knows, and is asked.

    python -m tools.replay_truth --sessions 100

A server answers every question by a plan drawn from a seed: known delays before each piece, some
pieces sent twice, some never, some connections cut amid a reply, some replies refused. It notes
when it sent what. The load client (``kaiwa replay``'s own processes) plays against it, and each of
its records is set against the server's notes. Counts must be equal; times differ by what the wire
and two processes take, which is shown.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from clients.load.crew import Played, play
from clients.load.job import TargetSpec
from clients.replay.figures.distribution import percentile
from clients.replay.records import RequestRecord
from clients.replay.script import Session, Turn
from clients.replay.texts import SessionTexts
from tests.clients.load.scripted_server import Did, Plan, ScriptedServer

_TURNS = 3
_MAX_PIECES = 40


@dataclass(frozen=True, slots=True)
class Expected:
    """What a truthful record says."""

    plan: Plan
    did: Did


def draw_plan(seed: int, persona: str, turn: int) -> Plan:
    """One reply; about half are undisturbed."""
    dice = random.Random(f"{seed} {persona} {turn}")
    count = dice.randrange(2, _MAX_PIECES)
    delays = (dice.uniform(0.01, 0.4), *(dice.uniform(0.002, 0.05) for _ in range(count - 1)))

    def some(share: float) -> frozenset[int]:
        return frozenset(n for n in range(count) if dice.random() < share)

    if dice.random() < 0.5:
        return Plan(delays, 0.01)
    cuts = frozenset({dice.randrange(count)} if dice.random() < 0.5 else ())
    losses = some(0.05) - cuts
    return Plan(
        delays,
        0.2,  # time to come back
        repeats=some(0.1) - losses,
        losses=losses,
        drops=cuts,
        error_code="queue_full" if turn == _TURNS - 1 and dice.random() < 0.3 else None,
    )


async def run(
    num_sessions: int, rate: float, seed: int, processes: int
) -> tuple[Played, dict[tuple[str, int], Expected]]:
    """Play; returns what the client says and what the server did."""
    dice = random.Random(seed)
    sessions, openings, turns = [], {}, {}
    start_s = 0.0
    for number in range(num_sessions):
        name = f"listener-{number}"
        script = [Turn(input_tokens=1, after="final", think_s=0.05) for _ in range(_TURNS)]
        sessions.append(Session(session_id=name, start_s=start_s, turns=script, persona=name))
        openings[f"{name} 0"] = name
        turns[name] = [f"{name} asks {turn}" for turn in range(_TURNS)]
        start_s += dice.expovariate(rate)
    server = ScriptedServer(lambda persona, turn: draw_plan(seed, persona, turn))
    async with server.serve() as url:
        spec = TargetSpec(kind="kaiwa", url=url)
        played = await play(sessions, SessionTexts(openings, turns), spec, processes=processes)
    expected = {key: Expected(draw_plan(seed, *key), did) for key, did in server.did.items()}
    return played, expected


def counts_of(record: RequestRecord) -> tuple[int, int, int, str | None]:
    """What has to be equal: gaps, repeats, resumes, error."""
    return record.num_gaps, record.num_duplicates, record.num_resumes, record.error_code


def counts_due(truth: Expected) -> tuple[int, int, int, str | None]:
    """The same, as the server did it."""
    did = truth.did
    return did.num_lost, did.num_repeated, did.num_cuts, truth.plan.error_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Play, compare and print; the exit code is 1 where a count is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.replay_truth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sessions", type=int, default=100, help="of three turns (%(default)s)")
    parser.add_argument("--rate", type=float, default=5.0, help="a second (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the plans (%(default)s)")
    parser.add_argument("--processes", type=int, default=1, help="of the client (%(default)s)")
    options = parser.parse_args(arguments)
    played, expected = asyncio.run(
        run(options.sessions, options.rate, options.seed, options.processes)
    )
    wrong = []
    sent, first, gaps, ends = [], [], [], []
    for record in played.records:
        truth = expected[record.session_id, record.turn]
        plan, did = truth.plan, truth.did
        if counts_of(record) != counts_due(truth):
            wrong.append((record.request_id, counts_of(record), counts_due(truth)))
        sent.append(did.asked_at - played.began_at - record.sent_s)
        if plan.losses or plan.drops or not record.token_times_s:
            continue  # pieces and tokens are not one to one there
        told = [at - played.began_at for at in did.told_at]
        first.append(record.token_times_s[0] - told[0])
        gaps += [
            (b - a) - (d - c)
            for a, b, c, d in zip(
                record.token_times_s, record.token_times_s[1:], told, told[1:], strict=False
            )
        ]
        assert record.ended_s is not None
        ends.append(record.ended_s - (did.ended_at - played.began_at))
    console = Console()
    truths = list(expected.values())
    console.print(
        f"{len(played.records)} replies of {len(truths)}: the server did "
        f"{sum(one.did.num_lost for one in truths)} lost, "
        f"{sum(one.did.num_repeated for one in truths)} repeated, "
        f"{sum(one.did.num_cuts for one in truths)} cut, "
        f"{sum(one.plan.error_code is not None for one in truths)} refused; the client reports "
        f"{sum(r.num_gaps for r in played.records)} lost, "
        f"{sum(r.num_duplicates for r in played.records)} repeated, "
        f"{sum(r.num_resumes for r in played.records)} cut, "
        f"{sum(r.finish == 'error' for r in played.records)} refused; "
        f"{len(wrong)} records differ"
    )
    table = Table("reported less scripted, ms", "p50", "p99", "largest")
    for name, values in (
        ("question: arrival at the server less sending", sent),
        ("first token", first),
        ("gap between tokens, either way", [abs(gap) for gap in gaps]),
        ("end", ends),
    ):
        ordered = sorted(1e3 * value for value in values)
        cells = (percentile(ordered, 50), percentile(ordered, 99), ordered[-1])
        table.add_row(name, *(f"{value:.2f}" for value in cells))
    console.print(table)
    for line in wrong[:10]:
        console.print(*line)
    return 1 if wrong or len(played.records) != len(truths) else 0


if __name__ == "__main__":
    sys.exit(main())
