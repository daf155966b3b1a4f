"""When `kaiwa doctor` is about a model, and who answers then."""

from __future__ import annotations

import pytest

from server.__main__ import main
from server.model_doctor import asks_for_model


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ("", False),
        ("--model m", True),
        ("--model=m --threads 8", True),
        ("--instances 3 --model m --help", True),
        ("--threads 8", True),
        ("--model m --port 0", False),
        ("--port 0", False),
        ("--help", False),
    ],
)
def test_a_model_alone_is_judged(arguments: str, answer: bool) -> None:
    """Beside other settings it is the machine that is looked at."""
    assert asks_for_model(arguments.split()) is answer


@pytest.mark.slow
def test_a_process_with_torch_answers(capfd: pytest.CaptureFixture[str]) -> None:
    """Its words and exit code are ours."""
    model = "tests.engine.parallel_safety.models:in_training"
    assert main(["doctor", "--model", model, "--rounds", "1"]) == 1
    assert "unsafe" in capfd.readouterr().out


@pytest.mark.slow
def test_an_examination_that_was_killed_says_nothing_of_the_model(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Neither safe nor unsafe, and why."""
    assert main(["doctor", "--model", "tests.engine.parallel_safety.models:killed"]) == 2
    assert "SIGKILL ended the examination" in capfd.readouterr().err
