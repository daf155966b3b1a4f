"""Memory of several instances beside one that is shared."""

from __future__ import annotations

from types import SimpleNamespace

from torch import nn

from engine.parallel_safety.footprint import (
    CONTEXT_TOKENS,
    check_footprint,
    context_bytes,
    model_bytes,
    size,
)


def test_tied_weights_count_once() -> None:
    """They are the same memory."""
    model = nn.ModuleList([nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)])
    assert model_bytes(model) == 128
    model[1].weight = model[0].weight
    assert model_bytes(model) == 64


def test_a_context_is_keys_and_values_of_all_layers() -> None:
    """Of models that say what they have; others keep none."""
    model = nn.Linear(2, 2)
    assert context_bytes(model) == 0
    model.config = SimpleNamespace(  # type: ignore[assignment]
        num_hidden_layers=3, num_key_value_heads=2, hidden_size=64, num_attention_heads=4
    )
    assert context_bytes(model) == 2 * 3 * 2 * 16 * CONTEXT_TOKENS * 4


def test_a_model_that_writes_keeps_a_context_of_all_its_heads() -> None:
    """Where it does not say that some share their keys; one that only reads keeps none."""
    model = nn.Linear(2, 2)
    model.config = SimpleNamespace(  # type: ignore[assignment]
        num_hidden_layers=3, hidden_size=64, num_attention_heads=4
    )
    assert context_bytes(model) == 0
    model.can_generate = lambda: True  # type: ignore[assignment]
    assert context_bytes(model) == 2 * 3 * 64 * CONTEXT_TOKENS * 4


def test_instances_that_do_not_fit_are_a_warning() -> None:
    """With how many would."""
    model = nn.Linear(256, 1024, bias=False)  # 1 MiB
    good = check_footprint(model, instances=3, free_bytes=3 * 2**20)
    assert good.verdict == "pass"
    assert "3 instances take 3 MiB, one shared 1 MiB" in good.detail
    bad = check_footprint(model, instances=4, free_bytes=3 * 2**20)
    assert bad.verdict == "warn"
    assert "make 3 of them at most" in bad.way_out


def test_bytes_are_written_in_units() -> None:
    """Up to the largest."""
    assert [size(number) for number in (3, 2048, 5 * 2**30)] == ["3 B", "2 KiB", "5 GiB"]
