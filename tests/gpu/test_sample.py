"""The sampler against float64 with everything sorted, and what it leaves in the slots."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.gpu.sampling.sampling_state import NOT_FINITE, NOTHING_LEFT, SlotSampling
from tests.gpu.sampling_case import UNTOUCHED, Case, numbers
from tests.gpu.sampling_reference import kept

TEXT = [5, 6, 7, 8, 5, 6]

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def logits_of(rows: int, vocab: int, device: torch.device, *, step: float = 0.0) -> Tensor:
    """Normally distributed, or in coarse steps, so that many are equal."""
    logits = torch.randn(rows, vocab, generator=torch.Generator().manual_seed(rows + vocab)) * 2.5
    return (logits.div(step).round().mul(step) if step else logits).to(device)


FILTERS = [
    SlotSampling(),
    SlotSampling(temperature=0.0),
    SlotSampling(temperature=0.3, top_k=1),
    SlotSampling(top_k=7),
    SlotSampling(top_k=60),
    SlotSampling(top_p=0.3),
    SlotSampling(top_p=0.97),
    SlotSampling(min_p=0.1),
    SlotSampling(temperature=1.8, top_k=40, top_p=0.8),
    SlotSampling(temperature=0.8, top_k=30, top_p=0.9, min_p=0.05),
    SlotSampling(temperature=1.4, top_p=0.95, min_p=0.02),
    SlotSampling(xtc_probability=1.0, xtc_threshold=0.05),
    SlotSampling(xtc_probability=0.5, xtc_threshold=0.01, top_p=0.9),
    SlotSampling(xtc_probability=1.0, xtc_threshold=0.02, top_k=20, min_p=0.01),
    SlotSampling(xtc_probability=1.0, xtc_threshold=0.0, top_k=3),
    SlotSampling(xtc_probability=1.0, xtc_threshold=0.6),
]


@pytest.mark.parametrize(("vocab", "step"), [(97, 0.0), (1100, 0.0), (300, 0.5)])
def test_filters_leave_what_they_say(vocab: int, step: float, device: torch.device) -> None:
    """The winner is that of float64 among what a sort would keep, equals at a bound included."""
    hows = [replace(how, seed=seed) for seed, how in enumerate(FILTERS)]
    case = Case.alike(vocab, hows, device, TEXT)
    logits = logits_of(len(hows), vocab, device, step=step)
    assert case.sample(logits) == case.expected(logits)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_any_mix_of_parameters_is_right(seed: int, device: torch.device) -> None:
    """Random ones, penalties, bans and grammars among them."""
    rng = np.random.default_rng(seed)
    vocab = int(rng.integers(30, 2300))
    hows, texts, masks = [], [], []
    for _ in range(24):
        ids = rng.permutation(vocab)
        hows.append(
            SlotSampling(
                temperature=rng.choice([0.0, 0.4, 1.0, 1.9]),
                top_k=int(rng.choice([0, 2, 50])),
                top_p=rng.choice([1.0, 0.9, 0.5]),
                min_p=rng.choice([0.0, 0.05]),
                xtc_probability=rng.choice([0.0, 0.5]),
                xtc_threshold=rng.choice([0.02, 0.2]),
                repetition_penalty=rng.choice([1.0, 1.3]),
                frequency_penalty=rng.choice([0.0, 0.4]),
                presence_penalty=rng.choice([0.0, -0.6]),
                dry_multiplier=rng.choice([0.0, 0.9]),
                dry_range=int(rng.choice([0, 9])),
                dry_breaker_ids=ids[:1].tolist(),
                logit_bias={int(i): float(rng.normal() * 4) for i in ids[: rng.choice([0, 5])]},
                banned_token_ids=ids[5 : 5 + rng.choice([0, 9])].tolist(),
                allowed_token_ids=None if rng.random() < 0.7 else ids[9:20].tolist(),
                stop_token_ids=ids[18:22].tolist(),
                min_tokens=int(rng.choice([0, 4])),
                seed=int(rng.integers(-(2**63), 2**63)),
            )
        )
        texts.append(rng.choice(ids[:6], 12).tolist())
        masks.append(None if rng.random() < 0.7 else rng.random(vocab) < 0.5)
    case = Case(vocab, hows, texts, rng.integers(4, 12, 24).tolist(), device)
    logits = logits_of(24, vocab, device)
    assert case.sample(logits, masks=masks) == case.expected(logits, masks)


@pytest.mark.slow
def test_a_row_with_too_many_candidates_is_walked_through(device: torch.device) -> None:
    """Nearly equal tokens fill more than the list; every filter still finds its bound."""
    vocab = 8500
    hows = [
        SlotSampling(top_p=0.999, seed=1),
        SlotSampling(top_k=8450, top_p=0.99, min_p=0.001, seed=2),
        SlotSampling(xtc_probability=1.0, xtc_threshold=0.0, seed=3),
    ]
    case = Case.alike(vocab, hows, device, TEXT)
    logits = logits_of(len(hows), vocab, device) * 0.01
    assert case.sample(logits) == case.expected(logits)


def test_scores_that_hardly_differ_are_told_apart(device: torch.device) -> None:
    """The search for a bound goes on until one distinct score is left."""
    hows = [SlotSampling(top_k=1, seed=seed) for seed in range(3)]
    logits = logits_of(3, 200, device) * 1e-30
    assert Case.alike(200, hows, device, TEXT).sample(logits) == logits.argmax(dim=1).tolist()


def test_xtc_never_excludes_an_end_token(device: torch.device) -> None:
    """Such a row is left alone, and one whose end token stays is not."""
    logits = torch.full((2, 50), -30.0, device=device)
    logits[:, [10, 20, 30]] = torch.tensor([3.0, 2.0, 1.0], device=device)
    how = SlotSampling(xtc_probability=1.0, xtc_threshold=0.01)
    scores = logits[0].double().cpu().numpy()
    found: dict[int, set[int]] = {20: set(), 30: set()}
    for seed, end in itertools.product(range(6), found):
        hows = [replace(how, seed=seed, stop_token_ids=[end])]
        found[end].update(Case.alike(50, hows, device, TEXT).sample(logits[:1]))
        assert kept(scores, hows[0], 2).sum() > (40 if end == 20 else 0)
    assert found[20] - {30}
    assert found[30] == {30}


def test_greedy_takes_the_first_of_the_largest(device: torch.device) -> None:
    """Also where they lie in different groups of the vocabulary."""
    case = Case.alike(2100, [SlotSampling(temperature=0.0)] * 2, device, TEXT)
    logits = torch.zeros(2, 2100, device=device)
    logits[0, [1030, 1029, 2090]] = 4.0
    assert case.sample(logits) == [1029, 0]


def test_rows_without_a_token_are_told_from_one_another(device: torch.device) -> None:
    """What is not finite is the model's fault, bans that leave nothing the request's."""
    none, greedy = np.zeros(1100, dtype=np.bool_), SlotSampling(temperature=0.0)
    filters, bans = SlotSampling(top_p=0.9), SlotSampling(allowed_token_ids=[3, 4])
    hows = [greedy, filters, greedy, greedy, bans, SlotSampling(banned_token_ids=[1090]), filters]
    case = Case.alike(1100, hows, device, TEXT)
    logits = logits_of(len(hows), 1100, device)
    logits[0, 1099] = float("nan")
    logits[1, 5] = float("inf")
    logits[2] = float("-inf")
    logits[4, [3, 4]] = float("-inf")
    logits[5, 1090] = float("nan")
    masks = [None] * 6 + [none]
    found = case.sample(logits, masks=masks)
    assert found[3] == int(logits[3].argmax())
    assert found[:3] + found[4:] == [NOT_FINITE] * 3 + [NOTHING_LEFT, NOT_FINITE, NOTHING_LEFT]
    assert case.requests.num_tokens.tolist() == [7] * 7
    assert case.requests.tokens[:, 6].tolist() == [0, 0, 0, found[3], 0, 0, 0]


def test_only_an_end_token_may_come_early_where_nothing_else_is_left(device: torch.device) -> None:
    """Among several, by their likelihood and without filters; greedy takes the largest."""
    how = SlotSampling(allowed_token_ids=[9, 1050, 40], stop_token_ids=[9, 1050], min_tokens=3)
    hows = [replace(how, seed=s, banned_token_ids=[40], top_k=1) for s in range(5)]
    hows += [replace(how, temperature=0.0, banned_token_ids=[40]), replace(how, seed=7)]
    case = Case.alike(1100, hows, device, TEXT)
    logits = logits_of(len(hows), 1100, device)
    logits[:, 9], logits[:, 1050] = 1.0, 1.5
    found = case.sample(logits)
    assert found == case.expected(logits)
    assert set(found[:5]) == {9, 1050}
    assert found[5:] == [1050, 40]


def test_a_grammar_constrains_only_the_rows_it_is_for(device: torch.device) -> None:
    """Without any other change; a mask of fewer words than the vocabulary forbids the rest."""
    hows = [SlotSampling(temperature=0.0), SlotSampling(seed=2)] * 2
    case = Case.alike(200, hows, device, TEXT)
    logits = logits_of(4, 200, device)
    mask = np.zeros(200, dtype=np.bool_)
    mask[[3, 50]] = True
    found = case.sample(logits, masks=[mask[:64], mask[:64], None, None])
    assert found == case.expected(logits, [mask, mask, None, None])


KINDS = [
    SlotSampling(temperature=0.0),
    SlotSampling(seed=1),
    SlotSampling(seed=2, top_p=0.9, temperature=1.3),
    SlotSampling(seed=3, xtc_probability=0.7, xtc_threshold=0.05),
    SlotSampling(seed=4, repetition_penalty=1.2, dry_multiplier=0.8, logit_bias={9: 2.0}),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_is_sampled_alike_in_any_company(dtype: torch.dtype, device: torch.device) -> None:
    """Alone, reversed, amid padding and beside rows that ask for more; nor are logits touched."""
    logits = logits_of(len(KINDS), 1100, device).to(dtype)
    before = logits.clone()

    def case() -> Case:
        return Case.alike(1100, KINDS, device, TEXT)

    together = case().sample(logits)
    assert together == case().expected(logits)
    backwards = case().sample(logits, slots=[4, -1, 3, 2, 1, 0, -1], rows=[4, 0, 3, 2, 1, 0, -1])
    assert [backwards[i] for i in (5, 4, 3, 2, 0)] == together
    alone = [
        case().sample(
            logits[i:],
            slots=[i],
            rows=[0],
            changes=how.changes_logits,
            filters=how.filters,
        )
        for i, how in enumerate(KINDS)
    ]
    assert [token for (token,) in alone] == together
    assert torch.equal(logits, before)


def test_slots_go_on_by_what_was_computed_and_sampled(device: torch.device) -> None:
    """Padding writes nothing, and a sequence amid its prompt gets no token."""
    hows = [SlotSampling(temperature=0.0, presence_penalty=0.1)] * 3
    case = Case.alike(60, hows, device, TEXT)
    logits = logits_of(2, 60, device)
    before = {name: getattr(case.requests, name).clone() for name in ("tokens", "num_tokens")}
    found = case.sample(logits, slots=[2, -1, 0], rows=[1, 0, -1])
    token = found[0]
    assert found[1:] == [UNTOUCHED, UNTOUCHED]
    assert case.requests.num_computed.tolist() == [6, 5, 6]
    before["num_tokens"][2] += 1
    before["tokens"][2, 6] = token
    for name, expected in before.items():
        assert torch.equal(getattr(case.requests, name), expected)
    fresh = Case.alike(60, hows, device, TEXT)
    fresh.state.counts[2, token] += 2
    assert torch.equal(case.state.counts, fresh.state.counts)


def test_a_full_slot_takes_no_more_tokens(device: torch.device) -> None:
    """Its neighbour's first token stays what it is."""
    hows = [SlotSampling(temperature=0.0)] * 2
    case = Case(60, hows, [TEXT] * 2, [4] * 2, device, max_tokens=6)
    case.sample(logits_of(2, 60, device), slots=[0])
    assert case.requests.tokens.tolist() == [TEXT, TEXT]
    assert case.requests.num_tokens.tolist() == [7, 6]


def test_steps_follow_one_another_as_if_each_slot_were_loaded_anew(device: torch.device) -> None:
    """Counts, matches and noise move on with what was sampled."""
    how = SlotSampling(
        temperature=0.7,
        top_k=4,
        frequency_penalty=0.5,
        dry_multiplier=0.8,
        dry_allowed_length=1,
        seed=11,
    )
    case = Case.alike(12, [how], device, TEXT)
    text = list(TEXT)
    for step in range(6):
        logits = logits_of(1, 12, device) + 0.1 * step
        fresh = Case(12, [how], [text], [4], device)
        assert case.sample(logits) == fresh.expected(logits)
        text.append(int(case.requests.tokens[0, len(text)]))


@pytest.mark.slow
def test_tokens_come_as_often_as_they_are_likely(device: torch.device) -> None:
    """Over many seeds, unfiltered and filtered, by a chi-square test at four deviations."""
    count = 4000 if device.type == "cuda" else 64  # the interpreter takes its time
    row = torch.tensor([2.0, 1.5, 1.0, 0.0, -0.5, -1.0], device=device)
    for how in (SlotSampling(temperature=1.3), SlotSampling(top_k=3)):
        hows = [replace(how, seed=seed) for seed in range(count)]
        case = Case.alike(6, hows, device, TEXT)
        found = np.bincount(case.sample(row.expand(count, 6).contiguous()), minlength=6)
        likely = np.exp(row.double().cpu().numpy() / how.temperature)
        likely *= kept(row.double().cpu().numpy(), how, 0)
        expected = (likely / likely.sum() * count)[likely > 0]
        chi = float(((found[likely > 0] - expected) ** 2 / expected).sum())
        freedom = len(expected) - 1
        assert found.sum() == found[likely > 0].sum() == count
        assert chi < freedom + 4 * (2 * freedom) ** 0.5


def test_an_empty_step_is_no_trouble(device: torch.device) -> None:
    """It changes nothing."""
    case = Case.alike(30, [SlotSampling()], device, TEXT)
    assert case.sample(logits_of(1, 30, device), slots=[], rows=[]) == []
    assert case.requests.num_tokens.equal(numbers([6], device))
