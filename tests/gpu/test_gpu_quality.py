"""What fewer bits cost, measured on a model of a few thousand parameters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.tiny_models import make_checkpoint
from tools.gpu_quality import Variant, main


def test_a_variant_says_what_is_held_in_what() -> None:
    """Keys and values, weights, or both."""
    assert Variant.parse("kv=fp8") == Variant(kv="fp8")
    assert Variant.parse("weights=int8+kv=int8") == Variant(kv="int8", weights="int8")


@pytest.mark.parametrize("text", ["", "fp8", "kv=fp4", "kv=fp8+kv=int8", "keys=fp8"])
def test_a_variant_that_is_not_there_is_refused_by_name(text: str) -> None:
    """With what there is."""
    with pytest.raises(ValueError, match=r"must be kv=auto\|fp8\|int8 or weights=int8"):
        Variant.parse(text)


@pytest.mark.slow
def test_eight_bits_are_compared_with_the_model_as_it_is(tmp_path: Path) -> None:
    """Over a text of one's own; int8 costs less than fp8, and neither much."""
    text, figures = tmp_path / "text", tmp_path / "figures"
    text.write_text("Hello there! How are you today? She sells sea shells.", encoding="utf-8")
    command = ["--model", str(make_checkpoint(tmp_path / "model", "llama")), "--text", str(text)]
    command += ["--window", "20", "--count", "1", "--variants", "kv=fp8,kv=int8"]
    assert main([*command, "--json", str(figures)]) == 0
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert found["as it is"]["kl_divergence"] == pytest.approx(0.0, abs=1e-6)
    assert found["as it is"]["greedy"] == 1.0
    assert 0 < found["kv=int8"]["kl_divergence"] < found["kv=fp8"]["kl_divergence"] < 0.1
    assert found["kv=int8"]["greedy"] > 0.8
