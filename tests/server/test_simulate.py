"""``kaiwa simulate`` on the command line."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from clients.replay.metrics import figures
from clients.replay.presets import PRESETS
from clients.replay.script import Session, Turn, with_load
from engine.simulator.machine import MACHINES
from server.__main__ import main
from server.simulation import Settings, saturating_rate, simulate


def test_help_explains_workloads_and_machines(capsys: pytest.CaptureFixture[str]) -> None:
    """Everything that can be named is named there."""
    with pytest.raises(SystemExit) as left:
        main(["simulate", "--help"])
    assert left.value.code == 0
    told = capsys.readouterr().out
    for name in [*PRESETS, *MACHINES, "fcfs", "--report"]:
        assert name in told


def test_policies_are_set_side_by_side_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two policies at two loads are four runs."""
    arguments = ["simulate", "chat", "--limit", "5", "--policy", "fcfs,deadline", "--load", "1,2"]
    assert main([*arguments, "--report", str(tmp_path)]) == 0
    assert "TTFT p99 ms" in capsys.readouterr().out
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    names = [run["name"] for run in summary["runs"]]
    assert names == ["fcfs 1×", "deadline 1×", "fcfs 2×", "deadline 2×"]
    assert all(run["figures"]["num_completed"] == 15 for run in summary["runs"])
    offered = [run["figures"]["offered_per_s"] for run in summary["runs"]]
    assert offered[2] == pytest.approx(2 * offered[0])


def test_a_report_can_be_japanese_and_knows_its_targets(tmp_path: Path) -> None:
    """What goodput was measured against stands beside it."""
    arguments = ["simulate", "chat", "--limit", "2", "--ttft-target", "0.25", "--lang", "ja"]
    assert main([*arguments, "--report", str(tmp_path)]) == 0
    assert '<html lang="ja">' in (tmp_path / "report.html").read_text(encoding="utf-8")
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["targets"]["ttft_s"] == 0.25


def test_a_picture_needs_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    """Told before anything is simulated."""
    with pytest.raises(SystemExit) as left:
        main(["simulate", "chat", "--png"])
    assert left.value.code == 2
    assert "--png needs --report" in capsys.readouterr().err


def test_a_trace_is_played_as_it_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any format that can be read."""
    trace = tmp_path / "trace.jsonl"
    trace.write_text(
        '{"timestamp": 0, "input_length": 20, "output_length": 3, "hash_ids": [1]}\n'
        '{"timestamp": 100, "input_length": 20, "output_length": 3, "hash_ids": [1]}\n',
        encoding="utf-8",
    )
    assert main(["simulate", str(trace)]) == 0
    assert "2 / 0 / 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere.jsonl"], "neither a file nor one of chat"),
        (["chat", "--cost", "abacus"], "two-core-demo"),
        (["pyproject.toml"], "no JSON"),
    ],
)
def test_what_is_not_there_is_told(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, exit code 2."""
    assert main(["simulate", *arguments]) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["chat", "--policy", "best"], ["chat", "--load", "0"], ["chat", "--limit", "-1"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """As argparse has it."""
    with pytest.raises(SystemExit) as left:
        main(["simulate", *arguments])
    assert left.value.code == 2
    capsys.readouterr()


def test_the_same_seed_gives_the_same_run() -> None:
    """To the last token's time."""
    sessions = PRESETS["chat"].make(10, 3)
    runs = [simulate(sessions, MACHINES["two-core-demo"], Settings(seed=5)) for _ in range(2)]
    times = [[r.token_times_s for r in run.requests] for run in runs]
    assert times[0] == times[1]


def test_personas_and_histories_come_from_the_cache() -> None:
    """A second turn is extended, not computed again."""
    turns = [Turn(input_tokens=64, output_tokens=32) for _ in range(2)]
    sessions = [
        Session(session_id=f"s{n}", start_s=n, turns=turns, persona="p", persona_tokens=320)
        for n in range(3)
    ]
    run = simulate(sessions, MACHINES["two-core-demo"], Settings())
    cached = {r.request_id: r.cached_tokens or 0 for r in run.requests}
    assert cached["s0/0"] == 0
    assert cached["s1/0"] >= 320
    assert cached["s0/1"] >= 320 + 64 + 16


@pytest.mark.slow
def test_a_load_of_1_keeps_the_machine_busy_and_2_makes_people_wait() -> None:
    """The estimate of what saturates is right within a factor of two."""
    machine = MACHINES["two-core-demo"]
    sessions = PRESETS["rising"].make(400, 1)
    rate = saturating_rate(sessions, machine)
    waits = []
    for load in (0.25, 2.0):
        run = simulate(with_load(sessions, rate * load), machine, Settings(policy="fcfs"))
        waits.append(figures(run).ttft_s.at(99))
    assert waits[0] < 0.5
    assert waits[1] > 2.0


@pytest.mark.slow
def test_whoever_would_wait_too_long_is_turned_away_and_nobody_waits_longer() -> None:
    """At twice what the machine can do, the longest wait stays about what is bearable."""
    machine = MACHINES["two-core-demo"]
    sessions = PRESETS["rising"].make(300, 1)
    crowded = with_load(sessions, saturating_rate(sessions, machine) * 3)
    queued, shed = (
        figures(simulate(crowded, machine, Settings(max_wait_s=seconds)))
        for seconds in (math.inf, 1.0)
    )
    assert queued.num_errors == 0
    assert queued.longest_wait_s > 2.0
    assert 0 < shed.num_errors < shed.num_requests * 2 / 3
    assert set(shed.errors) == {"server_overloaded"}
    assert shed.longest_wait_s < 1.5
    assert shed.itl_s.at(99) <= queued.itl_s.at(99)


@pytest.mark.parametrize("name", PRESETS)
def test_every_workload_can_be_made_of_any_size(name: str) -> None:
    """The same for the same seed, sorted by time, with lengths above 0."""
    sessions = PRESETS[name].make(30, 7)
    assert sessions == PRESETS[name].make(30, 7)
    assert [s.start_s for s in sessions] == sorted(s.start_s for s in sessions)
    assert all(t.input_tokens > 0 and (t.output_tokens or 0) > 0 for s in sessions for t in s.turns)
