"""The command that judges a model."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from engine.parallel_safety.__main__ import SAFE, UNSAFE, USAGE, main, within

MODELS = "tests.engine.parallel_safety.models"


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        (f"{MODELS}:safe", SAFE, "safe: 2 threads may share one instance"),
        (f"{MODELS}:in_training", UNSAFE, "drop: dropout (p = 0.5) in training mode"),
        (f"{MODELS}:normed", UNSAFE, "buffer running_mean of 0"),
        (f"{MODELS}:Running", UNSAFE, "buffer mean of statistics"),
        (f"{MODELS}:Counting", UNSAFE, "attribute calls of the model"),
        (f"{MODELS}:Racing", UNSAFE, "calls gave other bits"),
        (f"{MODELS}:telling_by_object", UNSAFE, "the same input gives something else"),
        (f"{MODELS}:telling_one_by_one", USAGE, "the forward returns generator"),
        (f"{MODELS}:leaving", USAGE, "SystemExit"),
        (f"{MODELS}:wrong_inputs", USAGE, "a forward of"),
        ("nowhere", USAGE, "neither a folder"),
    ],
)
def test_the_verdict_is_the_exit_code(
    capsys: pytest.CaptureFixture[str], name: str, code: int, told: str
) -> None:
    """And is told with its reasons."""
    assert main(["--model", name, "--threads", "2", "--rounds", "2"]) == code
    captured = capsys.readouterr()
    assert told in captured.out + captured.err


def test_a_forward_that_lasts_too_long_is_not_waited_for() -> None:
    """One that is done in time is left alone."""
    late = threading.Event()
    assert within(lambda given: given, 30.0, late.set)("at once") == "at once"
    assert not late.is_set()
    assert within(lambda _given: late.wait(10), 0.01, late.set)("never") is True


@pytest.mark.slow
def test_a_model_of_transformers_that_keeps_its_context_is_unsafe(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """RoPE scaled by an input's length is computed anew, in a buffer that all threads share."""
    make: Any = LlamaConfig
    config = make(
        vocab_size=99,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=16,
        rope_scaling={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4},
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    assert main(["--model", str(tmp_path), "--threads", "2", "--rounds", "1"]) == UNSAFE
    assert "every forward changes buffer inv_freq of model.rotary_emb" in capsys.readouterr().out


def test_who_interrupts_gets_no_traceback() -> None:
    """The exit code is that of a shell."""
    assert main(["--model", f"{MODELS}:interrupted"]) == 130


@pytest.mark.parametrize("arguments", [[], ["--model", "x", "--threads", "0"], ["--modle", "x"]])
def test_wrong_usage_is_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """As everywhere."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == USAGE
    assert "usage" in capsys.readouterr().err
