"""Both ways to draw, in torch and compiled, against the plain algorithm on random rows."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.model.draw import Draw, DrawRow, draw
from engine.model.forward import Forward
from tests.model.conftest import Load

PLAIN = DrawRow(1.0, 1 << 20, 1.0, 0.0, None, frozenset(), 0.5)
"""No filter."""
SIZES = [7, 100, 128, 129, 400, 5000, 33000]


@pytest.fixture(scope="session")
def compiled(load: Load) -> Forward:
    """Something that draws with the compiled kernels."""
    return load("llama").make_forward(4)


@pytest.fixture(params=["torch", "compiled"])
def any_draw(request: pytest.FixtureRequest, compiled: Forward) -> Draw:
    """Each way in turn."""
    return draw if request.param == "torch" else compiled.draw


def random_case(rng: random.Random) -> tuple[Tensor, list[DrawRow]]:
    """Some rows of one size, flat or peaked, with holes or without, and filters of all kinds."""
    vocab, count = rng.choice(SIZES), rng.randint(1, 5)
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    logits = torch.randn(count, vocab, generator=generator) * rng.choice([0.01, 0.5, 2.0, 8.0])
    if rng.random() < 0.3:
        holes = torch.rand(count, vocab, generator=generator) < 0.5
        logits[holes] = float("-inf")
        logits[:, 0] = 0.0
    return logits, [random_row(rng, vocab) for _ in range(count)]


def random_row(rng: random.Random, vocab: int) -> DrawRow:
    """What one row might ask for."""
    return DrawRow(
        temperature=rng.choice([0.1, 0.7, 1.0, 2.0]),
        top_k=min(vocab, rng.choice([vocab, vocab, 1, 5, 40, 3000])),
        top_p=rng.choice([1.0, 1.0, 0.999, 0.9, 0.5, 0.0]),
        min_p=rng.choice([0.0, 0.0, 0.02, 0.5, 1.0]),
        xtc_threshold=rng.choice([None, None, 0.0, 0.02, 0.1, 0.5]),
        protected=frozenset(rng.sample(range(vocab), 2)),
        uniform=rng.random(),
    )


def plain_order_and_weights(
    logits: Tensor, row: DrawRow
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return all tokens in the order in which they are drawn from, and what each weighs."""
    weights = torch.softmax(logits.double() / row.temperature, dim=-1).numpy().copy()
    if not row.is_filtered(len(weights)):
        return np.arange(len(weights)), weights
    order = np.argsort(-weights, kind="stable")
    sorted_weights = weights[order]
    sorted_weights[row.top_k :] = 0.0
    before = np.cumsum(sorted_weights) - sorted_weights
    if row.top_p < 1.0:
        outside = before >= row.top_p * sorted_weights.sum() - 1e-9
        outside[0] = False
        sorted_weights[outside] = 0.0
    sorted_weights[sorted_weights < row.min_p * sorted_weights[0] * (1 - 1e-6)] = 0.0
    if row.xtc_threshold is not None:
        shares = sorted_weights / sorted_weights.sum()
        above = np.flatnonzero((shares >= row.xtc_threshold) & (shares > 1e-37))
        if len(above) > 1 and row.protected.isdisjoint(order[above[:-1]].tolist()):
            sorted_weights[above[:-1]] = 0.0
    return order, sorted_weights


def is_drawn_rightly(logits: Tensor, row: DrawRow, token: int) -> bool:
    """Whether the row's number falls on the token, or on one that is as likely.

    Sums of floats may be off by a little, and the order of equals is nobody's business.
    """
    order, weights = plain_order_and_weights(logits, row)
    shares = weights / weights.sum()
    ends = np.cumsum(shares)
    share = shares[np.flatnonzero(order == token)[0]]
    alike = np.flatnonzero(np.abs(shares - share) <= 1e-6 * share)
    low, high = ends[alike[0]] - share, ends[alike[-1]]
    return bool(share > 0 and low - 2e-4 <= row.uniform <= high + 2e-4)


@pytest.mark.parametrize("seed", range(40))
def test_every_row_draws_what_the_plain_algorithm_draws(any_draw: Draw, seed: int) -> None:
    """Over vocabularies, shapes of distributions and filters."""
    logits, rows = random_case(random.Random(seed))
    for i, token in enumerate(any_draw(logits.clone(), rows)):
        assert is_drawn_rightly(logits[i], rows[i], token), (seed, i, rows[i])


def test_both_ways_draw_the_same_tokens(compiled: Forward) -> None:
    """Up to ties, which have no order, and to numbers that fall between two tokens."""
    rng = random.Random(1)
    alike = total = 0
    for _ in range(60):
        logits, rows = random_case(rng)
        pairs = zip(draw(logits.clone(), rows), compiled.draw(logits.clone(), rows), strict=True)
        for i, (one, other) in enumerate(pairs):
            total += 1
            alike += bool(logits[i, one] == logits[i, other])
    assert alike >= total - 1


def test_a_row_is_drawn_alike_in_any_company_by_any_threads(compiled: Forward) -> None:
    """Rows share nothing."""
    rng = random.Random(2)
    logits = torch.randn(12, 5000, generator=torch.Generator().manual_seed(3))
    rows = [random_row(rng, 5000) for _ in range(12)]
    alone = [compiled.draw(logits[i : i + 1], [rows[i]])[0] for i in range(12)]
    for num_threads in (1, 2, 3):
        compiled.set_num_threads(num_threads)
        assert list(compiled.draw(logits, rows)) == alone
    compiled.set_num_threads(1)


@pytest.mark.parametrize("uniform", [0.0, 1.0 - 2**-53])
@pytest.mark.parametrize("top_k", [20, 400])
def test_the_ends_of_the_scale_fall_on_tokens_that_can_be_drawn(
    any_draw: Draw, uniform: float, top_k: int
) -> None:
    """However sums are rounded; the last tokens are banned."""
    logits = torch.randn(1, 400, generator=torch.Generator().manual_seed(4))
    logits[:, :5] = logits[:, 300:] = float("-inf")
    row = PLAIN._replace(top_k=top_k, uniform=uniform)
    token = any_draw(logits, [row])[0]
    assert 5 <= token < 300


def test_rows_of_equals_are_drawn_evenly(any_draw: Draw) -> None:
    """No filter finds a likeliest, and no order is preferred."""
    rows = [PLAIN._replace(top_k=64, top_p=0.5, uniform=(i + 0.5) / 64) for i in range(64)]
    found = Counter(any_draw(torch.zeros(64, 64), rows))
    assert set(found.values()) == {2}
    assert len(found) == 32


def test_a_view_of_logits_is_drawn_like_its_copy(compiled: Forward) -> None:
    """Rows need not lie next to each other."""
    wide = torch.randn(3, 900, generator=torch.Generator().manual_seed(5))
    rows = [PLAIN._replace(top_k=300, top_p=0.9, uniform=0.7)] * 3
    view = wide[:, 200:500]
    assert list(compiled.draw(view, rows)) == list(compiled.draw(view.clone(), rows))
