"""Which runs a command line asks for: one, one at each rate, or a search for the highest kept."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from clients.replay.arrival_plan import ArrivalPlan, sessions_for
from clients.replay.metrics import Figures
from clients.replay.records import RunRecord
from clients.replay.repeats import copies, repeated
from clients.replay.script import ScriptError, Session
from clients.replay.sweep import Sweep

MOST_SESSIONS = 50_000
"""In one run; the words of more of them would fill the client's memory."""

RunOnce = Callable[[ArrivalPlan, Sequence[Session], str], tuple[RunRecord, Figures]]


def check_rates(sessions: Sequence[Session], options: argparse.Namespace) -> None:
    """See that no run that was asked for is too large.

    Raises:
        ScriptError: One is.
    """
    for rate in options.rates or filter(None, [options.arrivals.rate]):
        wanted = _wanted(sessions, options.arrivals.at_rate(rate), options)
        if _is_too_large(wanted, sessions):
            raise ScriptError(
                f"{rate:g} a second for {options.min_duration:g} s are {wanted} sessions, "
                f"{MOST_SESSIONS} are the most; take a shorter --min-duration or a lower rate"
            )


def runs_of(sessions: Sequence[Session], options: argparse.Namespace, run_once: RunOnce) -> str:
    """Make all runs of one target.

    Runs at several rates have different words each, so that none meets a prefix cache that the
    one before has filled.

    Args:
        sessions: The workload; repeated where a run would be shorter than ``min_duration``.
        options: Of ``kaiwa replay``.
        run_once: Makes a run from its arrivals, its sessions and what distinguishes its name.

    Returns:
        What a search found, in a sentence; empty without one.
    """
    plan: ArrivalPlan = options.arrivals
    used = 0

    def at(rate: float) -> tuple[RunRecord, Figures]:
        nonlocal used
        wanted = _wanted(sessions, plan.at_rate(rate), options)
        ready = repeated(sessions, wanted, first_copy=used)
        used += copies(sessions, wanted)
        return run_once(plan.at_rate(rate), ready, f" {rate:.3g}/s")

    if options.sweep:
        sweep = Sweep(plan.rate)
        limit = ""
        while (rate := sweep.next_rate()) is not None:
            if _is_too_large(_wanted(sessions, plan.at_rate(rate), options), sessions):
                limit = f"; {rate:.3g} would be more than {MOST_SESSIONS} sessions"
                break
            run, figures = at(rate)
            sweep.add(rate, 0.0 if run.invalid else figures.goodput_share)
            if run.invalid:
                limit = f"; at {rate:.3g} the client could not keep up"
        return sweep.verdict() + limit
    if options.rates:
        for rate in options.rates:
            at(rate)
        return ""
    wanted = _wanted(sessions, plan, options) if plan.rate else len(sessions)
    run_once(plan, repeated(sessions, wanted), "")
    return ""


def _is_too_large(wanted: int, sessions: Sequence[Session]) -> bool:
    """Whether a workload would have to be repeated too often; its own size is its own affair."""
    return wanted > max(MOST_SESSIONS, len(sessions))


def _wanted(sessions: Sequence[Session], plan: ArrivalPlan, options: argparse.Namespace) -> int:
    turns = sum(len(session.turns) for session in sessions) / len(sessions)
    return max(len(sessions), sessions_for(plan, options.min_duration, turns))
