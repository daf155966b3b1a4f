"""The report on the console."""

from __future__ import annotations

import io

from rich.console import Console

from clients.replay.metrics import Figures, figures
from clients.replay.records import RequestRecord, RunRecord
from clients.replay.table import LINES, SideBySide, groups, markdown


def measured(
    name: str, *, target: str = "simulator", **fields: object
) -> tuple[RunRecord, Figures]:
    """Return a run of one reply and its figures."""
    request = RequestRecord(
        request_id="r",
        session_id="s",
        turn=0,
        sent_s=0.0,
        token_times_s=[0.5, 0.6, 0.9],
        ended_s=0.9,
        finish="stop",
        prompt_tokens=10,
        **fields,  # type: ignore[arg-type]
    )
    run = RunRecord(
        name=name, policy="", load=1.0, requests=[request], duration_s=1.0, target=target
    )
    return run, figures(run)


def names(*runs: tuple[RunRecord, Figures]) -> set[str]:
    """Return the lines that a report of these runs has."""
    return {name for group in groups([f for _, f in runs]) for name, _ in group.lines}


def shown(*names: str) -> list[str]:
    """Return the lines on a console of a hundred columns."""
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(SideBySide([measured(name) for name in names]))
    return console.export_text().splitlines()


def test_runs_stand_side_by_side_within_a_hundred_columns() -> None:
    """One column each, under the titles of groups, and no line is cut."""
    lines = shown("fcfs [1×]", "deadline 1×")
    assert "fcfs [1×]" in lines[1]
    assert "deadline 1×" in lines[1]
    assert "  Waiting" in {line.rstrip() for line in lines}
    assert not any("…" in line.split("…", 1)[0] and line.endswith("…") for line in lines)
    assert max(len(line) for line in lines) <= 100


def test_runs_that_do_not_fit_follow_below() -> None:
    """Every column whole, in order, with the same lines in each table."""
    lines = shown(*(f"number{number}" for number in range(9)))
    heads = [line.split() for line in lines if "number" in line]
    assert len(heads) > 1
    assert [name for head in heads for name in head] == [f"number{number}" for number in range(9)]
    assert len([line for line in lines if "TTFT p50" in line]) == len(heads)
    assert max(len(line) for line in lines) <= 100


def test_a_long_name_goes_on_in_the_next_line() -> None:
    """So that it does not make its column wide."""
    lines = shown("two-core-demo deadline 1.5/s")
    assert "two-core-demo" in lines[1]
    assert "deadline 1.5/s" in lines[2]


def test_what_no_run_measured_has_no_line() -> None:
    """A foreign server's preemptions, interruptions that nobody sent, its own clock."""
    found = names(measured("a", target="chat completions"))
    assert "TTFT p50 ms" in found
    assert not found & {"preemptions", "interruptions", "resumed connections", "errors by code"}
    assert not any(name.startswith("server:") for name in found)


def test_what_one_run_measured_has_a_line_for_all() -> None:
    """The other says that it does not know."""
    theirs, ours = measured("a", target="chat completions"), measured("b", target="kaiwa")
    (wire,) = [g for g in groups([theirs[1], ours[1]]) if g.title == "Wire"]
    assert wire.lines[0] == ("resumed connections", ["–", "0"])


def test_a_servers_own_timings_stand_beside_ours() -> None:
    """Whatever it calls them, and what the way added."""
    told = groups([measured("a", server_ms={"ttft": 480.0, "queue": 3.0})[1]])[-1]
    assert ("server: queue p50 / p99 ms", ["3.0 / 3.0"]) in told.lines
    assert ("client − server: ttft p50 / p99 ms", ["20.0 / 20.0"]) in told.lines


def test_every_line_has_a_name_of_its_own() -> None:
    """So that a document can pick lines by name."""
    assert len({name for name, _ in LINES}) == len(LINES)


def test_the_same_table_can_go_into_a_document() -> None:
    """With the lines that matter there, or with all that were measured."""
    text = markdown([measured("a"), measured("b")], ["TTFT p50 ms", "tokens/s"])
    assert text.splitlines()[2] == "| TTFT p50 ms | 500 | 500 |"
    assert len(text.splitlines()) == 4
    assert "preemptions" not in markdown([measured("a")])
