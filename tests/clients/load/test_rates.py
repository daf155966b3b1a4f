"""The runs of a command: how many, at which rates, with which sessions."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from clients.load.options import parse
from clients.load.rates import MOST_SESSIONS, check_rates, runs_of
from clients.replay.arrival_plan import ArrivalPlan
from clients.replay.metrics import Figures, Targets, figures
from clients.replay.records import RunRecord
from clients.replay.script import ScriptError, Session, Turn
from tests.clients.replay.runs import request, run

WORKLOAD = [Session(session_id=str(n), start_s=0.0, turns=[Turn(input_tokens=1)]) for n in range(4)]


class Runs:
    """A server that keeps every rate up to ``knee``, and a client with a limit of its own."""

    def __init__(self, knee: float = 0.0, client: float = 1e9) -> None:
        self.made: list[tuple[float, list[str], str]] = []
        self._knee = knee
        self._client = client

    def once(
        self, plan: ArrivalPlan, sessions: Sequence[Session], suffix: str
    ) -> tuple[RunRecord, Figures]:
        """Note the run."""
        self.made.append((plan.rate, [one.session_id for one in sessions], suffix))
        ttft_s = 0.1 if plan.rate <= self._knee else 9.0
        made = run(
            requests=[request(token_times_s=[ttft_s])],
            invalid="late" if plan.rate > self._client else "",
        )
        return made, figures(made, Targets(1.0))

    def of(self, *arguments: str) -> str:
        """Make the runs of a command line."""
        return runs_of(WORKLOAD, parse(["t", *arguments]), self.once)


def test_a_plain_run_plays_the_workload_once() -> None:
    """As it is."""
    runs = Runs()
    assert not runs.of("--arrivals", "poisson:9")
    assert runs.made == [(9.0, ["0", "1", "2", "3"], "")]


def test_a_plain_run_can_be_made_to_last() -> None:
    """Nine a second for a second are nine sessions."""
    runs = Runs()
    runs.of("--arrivals", "poisson:9", "--min-duration", "1")
    assert runs.made[0][1] == ["0", "1", "2", "3", "0~1", "1~1", "2~1", "3~1", "0~2"]


def test_runs_at_several_rates_last_and_share_no_words() -> None:
    """Each takes up where the one before ended, in whole copies."""
    runs = Runs()
    runs.of("--arrivals", "constant:1", "--rates", "1,3", "--min-duration", "2")
    (first, names, suffix), (second, more, _) = runs.made
    assert (first, suffix, second) == (1.0, " 1/s", 3.0)
    assert names == ["0", "1", "2", "3"]
    assert more == ["0~1", "1~1", "2~1", "3~1", "0~2", "1~2"]


def test_a_sweep_says_what_it_found() -> None:
    """Within its precision, each run with words of its own."""
    runs = Runs(knee=3.0)
    told = runs.of("--arrivals", "poisson:1", "--sweep", "--min-duration", "1")
    assert told == "2.83 a second are kept, 3.08 are not"
    names = [name for _, names, _ in runs.made for name in names]
    assert len(set(names)) == len(names)


def test_a_rate_that_the_client_cannot_send_is_not_kept() -> None:
    """Though the replies that were sent were good; it is told."""
    told = Runs(knee=1e9, client=5.0).of("--arrivals", "poisson:1", "--sweep")
    assert told.endswith("the client could not keep up")
    assert told.startswith("4.76 a second are kept")


def test_a_sweep_ends_where_a_run_would_be_too_large() -> None:
    """A server that keeps everything is not asked for ever."""
    runs = Runs(knee=1e9)
    told = runs.of("--arrivals", "poisson:1000", "--sweep", "--min-duration", "20")
    assert told.endswith(f"4e+03 would be more than {MOST_SESSIONS} sessions")
    assert [rate for rate, _, _ in runs.made] == [1000.0, 2000.0]


@pytest.mark.parametrize(
    "arguments",
    [
        ("poisson:1", "--rates", "1,9000"),
        ("poisson:9000", "--sweep"),
        ("poisson:9000", "--min-duration", "30"),
    ],
)
def test_a_rate_of_too_many_sessions_is_refused_before_anything_runs(
    arguments: tuple[str, ...],
) -> None:
    """With the way out."""
    options = parse(["t", "--arrivals", *arguments])
    with pytest.raises(ScriptError, match="shorter --min-duration or a lower rate"):
        check_rates(WORKLOAD, options)


def test_a_large_workload_is_not_refused_for_its_size() -> None:
    """What is long enough is not repeated."""
    large = WORKLOAD * (MOST_SESSIONS // len(WORKLOAD) + 1)
    check_rates(large, parse(["t", "--arrivals", "poisson:9", "--sweep"]))
