"""Memory for a tenth of the demand, live and for as long as is asked: what breaks, who waits.

A crowd of listeners asks without a pause; together their conversations would need ten times the KV
budget. Every session that ends is followed by another, until the time is over.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from clients.replay.metrics import Figures, Targets, as_json, figures
from clients.replay.player import Player
from clients.replay.records import RunRecord
from clients.replay.script import Session, Turn
from clients.replay.table import SideBySide, markdown
from engine.async_engine import AsyncEngine
from engine.config import EngineConfig
from engine.errors import EngineError
from tools.live_run import LiveRun


class Crowd:
    """Keeps so many sessions open until the time is over.

    Attributes:
        num_sessions: How many have been made.
    """

    def __init__(self, size: int, seconds: float, seed: int, *, interrupts: float) -> None:
        self.num_sessions = 0
        self._size = size
        self._seconds = seconds
        self._interrupts = interrupts
        self._dice = random.Random(seed)

    def top_up(self, player: Player, now: float) -> None:
        """Let new sessions come for those that have ended."""
        while now < self._seconds and player.num_open < self._size:
            player.add(self.session(now))

    def session(self, now: float) -> Session:
        """Return the next session, which begins now."""
        dice = self._dice
        number = self.num_sessions
        self.num_sessions += 1
        turns = [
            Turn(
                input_tokens=dice.randrange(10, 120),
                output_tokens=dice.randrange(20, 160),
                think_s=dice.uniform(0.0, 0.2),
                after="final",
                barge_in_s=dice.uniform(0.0, 4.0) if dice.random() < self._interrupts else None,
            )
            for _ in range(dice.randrange(1, 4))
        ]
        return Session(
            session_id=f"p{number}",
            start_s=now,
            turns=turns,
            persona=f"persona-{dice.randrange(4)}",
            persona_tokens=100,
            tenant=f"tenant-{dice.randrange(4)}",
            priority=dice.choice((0, 0, 0, 1, 2)),
            tokens_per_s=dice.choice((5.5, 20.0)),
        )

    @staticmethod
    def tokens_wanted() -> float:
        """Return the mean tokens of a session at the end of a mean turn."""
        return 100 + 1.5 * (65 + 90)


async def measure(
    options: argparse.Namespace, policy: str, progress: Progress
) -> tuple[RunRecord, dict[str, Any]]:
    """Play the crowd against one engine.

    Returns:
        The run, and what the engine was like afterwards.
    """
    config = EngineConfig.from_flat(
        model=options.model,
        policy=policy,
        kv_cache_tokens=options.kv_cache_tokens,
        max_num_seqs=options.max_num_seqs,
        max_num_queued_reqs=10_000,
    )
    size = max(1, round(options.demand * options.kv_cache_tokens / Crowd.tokens_wanted()))
    crowd = Crowd(size, options.seconds, options.seed, interrupts=options.interrupts)
    task = progress.add_task(f"{policy}: {size} listeners", total=options.seconds)

    def top_up(player: Player, now: float) -> None:
        progress.update(task, completed=min(now, options.seconds))
        crowd.top_up(player, now)

    engine = await AsyncEngine.start(config)
    try:
        live = LiveRun(engine, [], name=policy, policy=policy, top_up=top_up)
        record = await live.play()
        await asyncio.sleep(1.5)  # an idle engine says that it lives once a second
        health = engine.health()
        last = live.steps[-1]
    except EngineError as error:
        raise SystemExit(f"the engine was lost: {error}") from None
    finally:
        await engine.aclose()
    progress.remove_task(task)
    left = {
        "listeners": size,
        "sessions": crowd.num_sessions,
        "alive": health.alive,
        "blocks_held_at_the_end": last.kv_blocks_used,
        "live_at_the_end": health.num_live_requests,
        "highest_queue": max(step.num_waiting for step in record.steps),
    }
    return record, left


def verdict(record: RunRecord, measured: Figures, left: dict[str, Any]) -> list[str]:
    """Return what went wrong; nothing is what is wanted."""
    wrong = []
    if not left["alive"]:
        wrong.append("the engine is dead")
    if measured.num_errors:
        wrong.append(f"{measured.num_errors} replies ended with an error: {measured.errors}")
    if measured.num_unfinished:
        wrong.append(f"{measured.num_unfinished} replies never ended")
    if left["blocks_held_at_the_end"] or left["live_at_the_end"]:
        wrong.append("something is held although nobody is there")
    starved = [r for r in record.requests if r.finish in ("stop", "length") and not r.token_times_s]
    if starved:
        wrong.append(f"{len(starved)} replies ended without a token")
    return wrong


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; 1 when something went wrong."""
    options = _parse(list(sys.argv[1:] if argv is None else argv))
    console = Console()
    found: list[tuple[RunRecord, Figures]] = []
    lefts: dict[str, dict[str, Any]] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        for policy in options.policy:
            record, left = asyncio.run(measure(options, policy, progress))
            found.append((record, figures(record, Targets(ttft_s=10.0))))
            lefts[policy] = left
    title = f"KV for {100 / options.demand:.0f} % of the demand, {options.seconds:g} s"
    console.print(SideBySide(found, title))
    wrong = {}
    for record, measured in found:
        console.print(f"{record.policy}: {lefts[record.policy]}")
        wrong[record.policy] = verdict(record, measured, lefts[record.policy])
        for sentence in wrong[record.policy]:
            console.print(f"[bold red]{record.policy}: {sentence}")
    if options.report is not None:
        _write(options, found, lefts, wrong)
    return 1 if any(wrong.values()) else 0


def _write(
    options: argparse.Namespace,
    found: list[tuple[RunRecord, Figures]],
    lefts: dict[str, dict[str, Any]],
    wrong: dict[str, list[str]],
) -> None:
    command = "python -m tools.bench_pressure " + " ".join(options.argv)
    lines = [
        f"* {policy}: {left['listeners']} listeners, {left['sessions']} sessions, at most "
        f"{left['highest_queue']} waiting; "
        + ("; ".join(wrong[policy]) or "no crash, no error, nothing left behind")
        for policy, left in lefts.items()
    ]
    stem: Path = options.report
    stem.parent.mkdir(parents=True, exist_ok=True)
    text = f"{markdown(found)}\n\n{chr(10).join(lines)}\n\n```sh\n{command}\n```\n"
    stem.with_suffix(".md").write_text(text, encoding="utf-8")
    raw = {
        "command": command,
        "runs": {
            record.policy: {"figures": as_json(measured), "left": lefts[record.policy]}
            | {"wrong": wrong[record.policy]}
            for record, measured in found
        },
    }
    stem.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench_pressure",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option("--model", default="configs/models/kaiwa-demo", help="folder (%(default)s)")
    option("--policy", type=lambda t: t.split(","), default="deadline", help="(%(default)s)")
    option("--seconds", type=float, default=600.0, help="for each policy (%(default)s)")
    option("--demand", type=float, default=10.0, help="times the KV budget (%(default)s)")
    option("--kv-cache-tokens", type=int, default=2048, help="KV budget (%(default)s)")
    option("--max-num-seqs", type=int, default=64, help="rows (%(default)s)")
    option("--interrupts", type=float, default=0.1, help="share of replies called off")
    option("--seed", type=int, default=0)
    option("--report", type=Path, metavar="PREFIX", help="write PREFIX.md and PREFIX.json")
    options = parser.parse_args(argv)
    options.argv = argv
    return options


if __name__ == "__main__":
    sys.exit(main())
