"""The one call, on tiny shapes: every line of every part runs before a GPU is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.gpu.check import main
from tools.gpu.results import Results

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tiny checkpoint is written once."""
    return tmp_path_factory.mktemp("scratch")


def check(folder: Path, scratch: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script as on a GPU machine, with shapes that a CPU computes."""
    command = ["sh", "tools/gpu_check.sh", str(folder), *arguments, "--tiny"]
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["PYTHON"] = sys.executable  # `python3` may be one without torch
    return subprocess.run(
        [*command, "--scratch", str(scratch)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )


def parts_of(folder: Path) -> dict[str, Any]:
    """What the folder's results say of each part."""
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())["parts"]
    return found


@pytest.mark.parametrize(
    "part",
    [
        "limits",
        "correctness",
        "nanovllm",
        "kernels",
        "faults",
        "server",
        "peers",
        "quality",
    ],
)
def test_a_part_comes_to_its_end(tmp_path: Path, scratch: Path, part: str) -> None:
    """Nothing fails; what a CPU cannot do is skipped with a reason."""
    done = check(tmp_path, scratch, part)
    record = parts_of(tmp_path)[part]
    assert record["failed"] == {}, done.stderr[-2000:]
    assert record["complete"]
    assert record["rows"] or record["skipped"]
    assert done.returncode == 0
    assert (tmp_path / "figure.svg").is_file()


def test_steps_are_measured_beside_the_limits_and_not_twice(tmp_path: Path, scratch: Path) -> None:
    """A second run has nothing to do but the table."""
    first = check(tmp_path, scratch, "limits", "decode", "formats")
    assert first.returncode == 0, first.stderr[-2000:]
    rows = parts_of(tmp_path)["decode"]["rows"]
    assert {row["what"] for row in rows.values()} == {"decode", "decode, sampled", "prompt"}
    assert min(row["step_ms"] for row in rows.values()) > 0
    second = check(tmp_path, scratch, "limits", "decode")
    assert "decode: complete already" in second.stdout
    assert parts_of(tmp_path)["decode"]["rows"] == rows
    assert "## Decode steps" in (tmp_path / "tables.md").read_text(encoding="utf-8")


def test_what_does_not_fit_into_the_time_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a note, and nothing is begun."""
    assert main([str(tmp_path), "decode", "--seconds", "12", "--tiny"]) == 0
    assert parts_of(tmp_path)["decode"]["left"] == ["everything"]
    assert "too few" in capsys.readouterr().out


def test_figures_of_two_cards_do_not_mix(tmp_path: Path) -> None:
    """The folder of another card is refused before anything is measured."""
    Results(tmp_path / "results.json").note(device="NVIDIA H200")
    assert main([str(tmp_path), "limits", "--tiny"]) == 3
    assert parts_of(tmp_path) == {}


def test_a_part_whose_process_dies_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it could not say why: here it finds no torch."""
    (tmp_path / "torch.py").write_text("import sys; sys.exit(9)", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert main([str(tmp_path), "limits", "--tiny"]) == 1
    assert parts_of(tmp_path)["limits"]["failed"] == {
        "everything": "its process ended with status 9"
    }


@pytest.mark.parametrize("arguments", [["speed"], ["limits", "--peer", "vllm"]])
def test_what_is_asked_wrongly_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    """With what there is."""
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path), *arguments])
