"""How distributions are compared."""

from __future__ import annotations

import math

import pytest
import torch

from tools.bench.distributions import Text, compare

TEXT = Text([0, 1, 2], [True, True, False])


def logits_of(*shares: tuple[float, float, float]) -> torch.Tensor:
    """Logits whose softmax is this, token by token."""
    return torch.tensor(shares).log()


def test_a_model_agrees_with_itself() -> None:
    """And its perplexity is that of what it should have said."""
    own = logits_of((0.2, 0.5, 0.3), (0.1, 0.1, 0.8), (0.3, 0.3, 0.4))
    quality = compare([TEXT], [own], [own])
    assert quality.kl_divergence == pytest.approx(0.0, abs=1e-6)
    assert quality.greedy == 1.0
    assert quality.perplexity == pytest.approx(1 / 0.5)


def test_only_predictions_of_what_counts_are_compared() -> None:
    """The first token predicts the second, which counts; the second predicts what does not."""
    wanted = logits_of((0.2, 0.5, 0.3), (0.1, 0.1, 0.8), (0.3, 0.3, 0.4))
    found = logits_of((0.5, 0.25, 0.25), (0.8, 0.1, 0.1), (0.9, 0.05, 0.05))
    quality = compare([TEXT], [wanted], [found])
    by_hand = sum(
        p * math.log(p / q) for p, q in zip((0.2, 0.5, 0.3), (0.5, 0.25, 0.25), strict=True)
    )
    assert quality.kl_divergence == pytest.approx(by_hand, rel=1e-5)
    assert quality.greedy == 0.0
    assert quality.perplexity == pytest.approx(4.0)
