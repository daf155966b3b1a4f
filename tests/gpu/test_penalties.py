"""Bias, penalties, bans and masks, against float64 and against the CPU's own."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.gpu.sampling.penalties import change_scores
from engine.gpu.sampling.sampled_rows import SampledRows
from engine.gpu.sampling.sampling_state import SlotSampling
from tests.gpu.sampling_case import Case, numbers, packed
from tests.gpu.sampling_reference import Bools, Floats, changed_scores, dry_penalties

VOCAB = 1100
TEXT = [7, 8, 9, 1050, 7, 8, VOCAB + 3, 5, 7, 8, 9, 3, 7, 8, 9]
"""With a token that the model has no column for; 9 is last, after 7 and 8."""

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def logits_of(rows: int, device: torch.device) -> Tensor:
    """Normally distributed."""
    generator = torch.Generator().manual_seed(rows)
    return (torch.randn(rows, VOCAB, generator=generator) * 3).to(device)


def scores_of(case: Case, logits: Tensor, masks: list[Bools | None] | None = None) -> Tensor:
    """Every slot's scores, the memory for them poisoned first."""
    slots = numbers(range(len(case.hows)), case.device)
    rows = SampledRows(logits, slots, slots, case.requests, case.state)
    flags = None if masks is None else numbers([m is not None for m in masks], case.device)
    own = any(how.changes_logits for how in case.hows)
    given = None if masks is None else packed(masks, case.device)
    scores = change_scores(rows, own=own, masks=given, masked=flags)
    changed = scores.changed.bool().cpu()
    return torch.where(changed[:, None], scores.changed_scores.cpu(), logits.cpu().float())


def assert_close(found: Tensor, expected: Floats) -> None:
    """By norms over what is finite; the rest must be banned alike."""
    scores = found.double().numpy()
    finite = np.isfinite(expected)
    assert (np.isneginf(scores) == ~finite).all()
    wanted = expected[finite]
    assert np.linalg.norm(scores[finite] - wanted) < 1e-6 * np.linalg.norm(wanted)


CHANGES = [
    SlotSampling(logit_bias={0: 3.0, 1023: -2.0, 1024: 100.0, 1099: 1.5, VOCAB: 9.0}),
    SlotSampling(logit_bias={i: i / 100 - 5 for i in range(0, 1000, 3)}),
    SlotSampling(allowed_token_ids=[1, 1050, VOCAB + 1]),
    SlotSampling(banned_token_ids=[0, 31, 32, 1099, VOCAB]),
    SlotSampling(allowed_token_ids=[1, 2, 3], banned_token_ids=[2]),
    SlotSampling(repetition_penalty=1.3),
    SlotSampling(repetition_penalty=0.7),
    SlotSampling(frequency_penalty=0.6),
    SlotSampling(presence_penalty=-0.8),
    SlotSampling(dry_multiplier=0.8),
    SlotSampling(dry_multiplier=0.8, dry_range=6, dry_base=2.5, dry_allowed_length=1),
    SlotSampling(dry_multiplier=0.5, dry_allowed_length=1, stop_token_ids=[3]),
    SlotSampling(dry_multiplier=0.5, dry_allowed_length=1, dry_breaker_ids=[7, 3]),
    SlotSampling(
        logit_bias={7: -4.0, 9: 2.0},
        banned_token_ids=[8],
        repetition_penalty=1.2,
        frequency_penalty=0.3,
        presence_penalty=0.2,
        dry_multiplier=1.1,
    ),
]


@pytest.mark.parametrize("how", CHANGES, ids=lambda how: ",".join(changed_fields(how)) or "nothing")
def test_each_change_is_right(how: SlotSampling, device: torch.device) -> None:
    """For tokens of prompt and reply, in every group of the vocabulary."""
    case = Case(VOCAB, [how], [TEXT], [6], device)
    logits = logits_of(1, device)
    expected, _ = changed_scores(logits[0].double().cpu().numpy(), how, TEXT, 6, None)
    assert_close(scores_of(case, logits)[0], expected)


def changed_fields(how: SlotSampling) -> list[str]:
    """Names of what is not neutral."""
    neutral = SlotSampling()
    return [f.name for f in fields(how) if getattr(how, f.name) != getattr(neutral, f.name)]


@pytest.mark.parametrize("index", range(len(CHANGES)))
def test_a_row_changes_as_on_a_cpu(index: int, device: torch.device) -> None:
    """By the functions of `engine.model.penalties` themselves."""
    pytest.importorskip("msgspec")
    from engine.model.penalties import LogitChanges
    from engine.model.slot_state import SlotState
    from engine.outputs import SlotLoad
    from engine.sampling_params import SamplingParams

    how = CHANGES[index]
    named = [name for name in changed_fields(how) if name != "stop_token_ids"]
    load = SlotLoad(
        slot=0,
        request_id="r",
        params=SamplingParams(**{name: getattr(how, name) for name in named}),
        token_ids=list(TEXT),
        num_prompt_tokens=6,
        num_computed_tokens=0,
        block_table=[],
        stop_token_ids=frozenset(how.stop_token_ids),
    )
    logits = logits_of(1, device)
    expected = logits[0].cpu().clone()
    LogitChanges().apply(expected, SlotState(load))
    found = scores_of(Case(VOCAB, [how], [TEXT], [6], device), logits)[0]
    assert_close(found, expected.double().numpy())


@pytest.mark.slow
def test_long_repeats_are_counted_up_to_the_longest_match(device: torch.device) -> None:
    """Across the pieces that programs look at, and capped where the power is enormous."""
    rng = np.random.default_rng(4)
    stanza = rng.integers(0, 9, 300).tolist()
    texts = [stanza * 2, [4] * 520, rng.integers(0, 3, 520).tolist(), stanza[:40] * 13]
    gentle = SlotSampling(dry_multiplier=0.5, dry_base=1.02)
    hows = [gentle, SlotSampling(dry_multiplier=2.0), gentle, replace(gentle, dry_range=100)]
    case = Case(VOCAB, hows, texts, [500] * 4, device, max_tokens=700)
    logits = torch.zeros(4, VOCAB, device=device)
    scores = scores_of(case, logits)
    for found, how, text in zip(scores, hows, texts, strict=True):
        expected = np.zeros(VOCAB)
        for token, amount in dry_penalties(text, how).items():
            expected[token] = -amount
        assert_close(found, expected)
    assert -float(scores[1, 4]) == 1e9
    assert -float(scores[0].min()) == pytest.approx(0.5 * 1.02**254, rel=1e-5)


def test_matches_are_gone_after_the_step(device: torch.device) -> None:
    """The counts are as they were loaded, ready for the next one."""
    case = Case(
        VOCAB, [SlotSampling(dry_multiplier=1.0, repetition_penalty=1.1)], [TEXT], [6], device
    )
    before = case.state.counts.clone()
    first = scores_of(case, logits_of(1, device))
    assert torch.equal(case.state.counts, before)
    assert torch.equal(scores_of(case, logits_of(1, device)), first)


def test_what_is_not_finite_stays_so(device: torch.device) -> None:
    """Whatever is banned: the sampler must see it."""
    how = SlotSampling(banned_token_ids=[3, 4, 5], logit_bias={3: 1.0}, repetition_penalty=2.0)
    case = Case(VOCAB, [how], [TEXT], [6], device)
    logits = logits_of(1, device)
    logits[0, [3, 4, 6]] = torch.tensor([float("nan"), float("inf"), float("-inf")], device=device)
    scores = scores_of(case, logits)[0]
    assert torch.isnan(scores[3])
    assert scores[[4, 5, 6]].tolist() == [float("inf"), float("-inf"), float("-inf")]


def test_masks_forbid_what_they_do_not_hold(device: torch.device) -> None:
    """Beside a row's own bans, or alone; rows without a mask keep their logits."""
    rng = np.random.default_rng(0)
    masks: list[Bools | None] = [rng.random(VOCAB) < 0.5, None, rng.random(VOCAB) < 0.1]
    logits = logits_of(3, device)
    for bans in ((), (1, 2, 3)):
        hows = [SlotSampling(banned_token_ids=bans)] * 2 + [SlotSampling()]
        scores = scores_of(Case(VOCAB, hows, [TEXT] * 3, [6] * 3, device), logits, masks)
        for slot, how in enumerate(hows):
            row = logits[slot].double().cpu().numpy()
            expected, _ = changed_scores(row, how, TEXT, 6, masks[slot])
            assert_close(scores[slot], expected)
