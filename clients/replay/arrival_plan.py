"""When the sessions of a workload begin, as it is asked for on a command line."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from clients.replay.arrivals import constant, gamma, poisson, rising
from clients.replay.script import ScriptError, Session

Kind = Literal["trace", "constant", "poisson", "gamma", "ramp", "exp-ramp", "closed", "users"]

FORMS = """\
arrivals:
  trace            as the trace says, times --time-scale
  constant:R       R sessions a second, evenly
  poisson:R        R a second on average, at random
  gamma:R:B        the same with burstiness B: below 1 in bursts, 1 is Poisson, above 1 smoother
  ramp:R1-R2       at random, from R1 to R2 a second in a straight line
  exp-ramp:R1-R2   the same, by equal factors
  closed:N         N at a time, the next when one is over: a slow server is asked less
  users:N:R        N users who take turns, R turns a second in all, each user's evenly apart
"""


@dataclass(frozen=True, slots=True)
class ArrivalPlan:
    """How sessions arrive.

    Attributes:
        kind: The model.
        rate: Sessions, or for ``users`` turns, per second; 0 where the kind has none.
        burstiness: Of ``gamma``.
        end_rate: Of the ramps.
        count: Sessions at a time, or users.
    """

    kind: Kind
    rate: float = 0.0
    burstiness: float = 1.0
    end_rate: float = 0.0
    count: int = 0

    def at_rate(self, rate: float) -> ArrivalPlan:
        """The same with another rate, for a sweep.

        Raises:
            ScriptError: It has none.
        """
        if not self.rate:
            raise ScriptError(
                f"arrivals {self.kind!r} have no rate to change; use constant:R, poisson:R, "
                "gamma:R:B or users:N:R"
            )
        factor = rate / self.rate
        return replace(self, rate=rate, end_rate=self.end_rate * factor)


def parse_arrivals(text: str) -> ArrivalPlan:
    """Read one of ``FORMS``.

    Raises:
        ScriptError: It is none of them.
    """
    kind, _, rest = text.partition(":")
    try:
        match kind:
            case "trace" if not rest:
                return ArrivalPlan("trace")
            case "constant" | "poisson":
                return ArrivalPlan(kind, rate=_above_0(rest))
            case "gamma":
                rate, burstiness = rest.split(":")
                return ArrivalPlan("gamma", rate=_above_0(rate), burstiness=_above_0(burstiness))
            case "ramp" | "exp-ramp":
                first, last = rest.split("-")
                return ArrivalPlan(kind, rate=_above_0(first), end_rate=_above_0(last))
            case "closed":
                return ArrivalPlan("closed", count=_whole(rest))
            case "users":
                count, rate = rest.split(":")
                return ArrivalPlan("users", rate=_above_0(rate), count=_whole(count))
    except ValueError:
        pass
    raise ScriptError(f"arrivals are {text!r}; one of these is wanted:\n{FORMS}")


def arranged(
    sessions: Sequence[Session], plan: ArrivalPlan, *, seed: int, time_scale: float = 1.0
) -> list[Session]:
    """Return the sessions with their start times; a draw is a function of the seed.

    Args:
        sessions: In their order; a trace's times are looked at by ``trace`` alone.
        plan: When they begin.
        seed: Of what is drawn.
        time_scale: Factor on a trace's times, those between turns included.
    """
    dice = random.Random(seed)
    count = len(sessions)
    if plan.kind == "trace":
        return [_scaled(session, time_scale) for session in sessions]
    if plan.kind == "closed":
        return [replace(session, start_s=0.0) for session in sessions]
    if plan.kind == "users":
        return _taking_turns(sessions, plan)
    draw: dict[str, Callable[[], list[float]]] = {
        "constant": lambda: constant(count, plan.rate),
        "poisson": lambda: poisson(count, plan.rate, dice),
        "gamma": lambda: gamma(count, plan.rate, plan.burstiness, dice),
        "ramp": lambda: rising(count, plan.rate, plan.end_rate, dice, by_factor=False),
        "exp-ramp": lambda: rising(count, plan.rate, plan.end_rate, dice, by_factor=True),
    }
    times = draw[plan.kind]()
    return [replace(one, start_s=time_s) for one, time_s in zip(sessions, times, strict=True)]


def sessions_for(plan: ArrivalPlan, seconds: float, turns_per_session: float) -> int:
    """Return how many sessions it takes until arrivals go on for so many seconds.

    Args:
        plan: With a rate.
        seconds: 0 asks for none.
        turns_per_session: On average; ``users`` have a rate of turns.
    """
    mean_gap_s = 1 / plan.rate
    if plan.kind == "users":
        mean_gap_s = turns_per_session / plan.rate
    elif plan.end_rate and plan.end_rate != plan.rate:
        mean_gap_s = _mean_gap_s(plan)
    return math.ceil(seconds / mean_gap_s)


def offered_rate(sessions: Sequence[Session], plan: ArrivalPlan) -> float | None:
    """Requests per second that a plan offers; ``None`` where that depends on the server."""
    if plan.kind == "closed" or not sessions:
        return None
    if plan.kind == "users":
        return plan.rate
    last = max(session.start_s for session in sessions)
    num_requests = sum(len(session.turns) for session in sessions)
    return num_requests / last if last > 0 else None


def _mean_gap_s(plan: ArrivalPlan) -> float:
    """Of a ramp, whose rate rises from session to session: the mean of 1 over the rate."""
    first, last = plan.rate, plan.end_rate
    growth = math.log(last / first)
    if plan.kind == "exp-ramp":
        return (1 / first - 1 / last) / growth
    return growth / (last - first)


def _scaled(session: Session, factor: float) -> Session:
    turns = [
        turn if turn.at_s is None else replace(turn, at_s=turn.at_s * factor)
        for turn in session.turns
    ]
    return replace(session, start_s=session.start_s * factor, turns=turns)


def _taking_turns(sessions: Sequence[Session], plan: ArrivalPlan) -> list[Session]:
    """Each user goes through sessions one after the other, a turn every ``count / rate`` s.

    The users begin evenly apart, so that turns come at the rate from the start on; a reply that
    is late delays its user alone.
    """
    apart_s = plan.count / plan.rate
    next_s = [number / plan.rate for number in range(plan.count)]
    placed = []
    for number, session in enumerate(sessions):
        user = number % plan.count
        turns = [
            replace(turn, at_s=index * apart_s, after="final", think_s=0.0)
            for index, turn in enumerate(session.turns)
        ]
        placed.append(replace(session, start_s=next_s[user], turns=turns))
        next_s[user] += apart_s * max(1, len(turns))
    return placed


def _above_0(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise ValueError(text)
    return value


def _whole(text: str) -> int:
    value = int(text)
    if not 0 < value <= 100_000:
        raise ValueError(text)
    return value
