"""``kaiwa replay``: joins the listeners of ``clients.load`` to the simulator."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from clients.load import command
from clients.replay.records import RunRecord
from clients.replay.script import Session
from engine.errors import EngineError
from engine.simulator.machine import find_machine
from server.simulation import Settings, simulate


def main(argv: Sequence[str]) -> int:
    """Run ``kaiwa replay`` with these arguments and return the exit code."""
    try:
        return command.main(argv, _simulate)
    except EngineError as error:
        print(f"kaiwa replay: {error}", file=sys.stderr)  # noqa: T201 - a command line
        return 2


def _simulate(sessions: list[Session], options: argparse.Namespace, machine: str) -> RunRecord:
    settings = Settings(
        policy="deadline",
        seed=options.seed,
        jitter=0.05,
        ttft_target_s=options.ttft_slo,
    )
    return simulate(sessions, find_machine(machine), settings, name=machine, load=1.0)
