"""The sampler against plain formulas and transformers' own logits processors."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engine.model.forward import Logits
from engine.model.noise import DRAW, XTC_COIN, uniform
from engine.model.penalties import dry_penalties
from engine.model.sampler import Sampler
from engine.model.slot_state import SlotState
from engine.outputs import SampledToken
from engine.sampling_params import SamplingParams
from tests.model.driver import make_request

VOCAB = 400
LARGE_VOCAB = 5000


def logits_of(seed: int, vocab: int = VOCAB, *, spread: float = 2.0) -> Tensor:
    """One row of normally distributed logits."""
    return torch.randn(vocab, generator=torch.Generator().manual_seed(seed)) * spread


def sample_one(logits: Tensor, request: SlotState) -> SampledToken:
    """Sample one row of its own."""
    out = Sampler().sample(Logits(logits.clone()[None]), {0: request})
    assert out.failed == {}
    return out.sampled[0]


def rows_of(requests: Sequence[SlotState]) -> dict[int, SlotState]:
    """Give each request a slot."""
    return dict(enumerate(requests))


def draws(
    logits: Tensor, params: SamplingParams, count: int, stops: Sequence[int] = ()
) -> Counter[int]:
    """Draw with seeds 0 .. count - 1, all other things equal."""
    found: Counter[int] = Counter()
    for low in range(0, count, 500):
        requests = []
        for seed in range(low, min(low + 500, count)):
            own = msgspec.structs.replace(params, seed=seed)
            requests.append(make_request([1], own, name=str(seed), stops=stops))
        out = Sampler().sample(Logits(logits.repeat(len(requests), 1)), rows_of(requests))
        found.update(token.token_id for token in out.sampled.values())
    return found


def changed(params: SamplingParams) -> str:
    """What differs from the defaults, for a test's name."""
    plain = msgspec.structs.asdict(SamplingParams())
    own = msgspec.structs.asdict(params)
    return ",".join(f"{k}={v}" for k, v in own.items() if v != plain[k]) or "plain"


def assert_follows(found: Counter[int], expected: Tensor) -> None:
    """Compare counts with probabilities by chi-square, at five standard deviations."""
    count = sum(found.values())
    assert all(expected[token] > 0 for token in found)
    chi, cells, rest, rest_found = 0.0, 0, 0.0, 0
    for token, p in enumerate(expected.tolist()):
        if p * count >= 5:
            chi += (found[token] - p * count) ** 2 / (p * count)
            cells += 1
        else:
            rest += p * count
            rest_found += found[token]
    if rest >= 5:
        chi += (rest_found - rest) ** 2 / rest
        cells += 1
    freedom = max(1, cells - 1)
    assert chi < freedom + 5 * math.sqrt(2 * freedom)


def warped(logits: Tensor, *processors: LogitsProcessor) -> Tensor:
    """What transformers makes of the row: probabilities after the processors."""
    row = logits.clone()[None]
    ids = torch.tensor([[1]])
    for processor in processors:
        row = processor(ids, row)
    return torch.softmax(row[0], dim=-1)


# --- greedy -------------------------------------------------------------------------------------


def test_temperature_zero_takes_the_likeliest() -> None:
    """Greedy is the largest logit, whatever the filters say."""
    logits = logits_of(1)
    request = make_request([1], SamplingParams(temperature=0.0, top_k=3, top_p=0.5, min_p=0.9))
    assert sample_one(logits, request).token_id == int(logits.argmax())


def test_of_equals_greedy_takes_the_first() -> None:
    """Ties go to the lower id, as in `torch.argmax` and `generate`."""
    logits = torch.zeros(VOCAB)
    logits[[50, 60]] = 3.0
    assert sample_one(logits, make_request([1])).token_id == 50


@pytest.mark.parametrize("temperature", [1e-9, 1e-4, 0.01])
def test_a_tiny_temperature_is_as_good_as_greedy(temperature: float) -> None:
    """No temperature overflows."""
    logits = logits_of(2) * 100
    request = make_request([1], SamplingParams(temperature=temperature, seed=3))
    assert sample_one(logits, request).token_id == int(logits.argmax())


def test_top_k_of_one_is_greedy() -> None:
    """With a single candidate there is nothing to draw."""
    logits = logits_of(3)
    found = draws(logits, SamplingParams(temperature=5.0, top_k=1), 50)
    assert set(found) == {int(logits.argmax())}


# --- the distribution ---------------------------------------------------------------------------


@pytest.mark.parametrize("vocab", [2, 3, 127, 128, 129, VOCAB, LARGE_VOCAB])
def test_without_filters_the_model_is_followed(vocab: int) -> None:
    """Draws from the whole vocabulary follow the softmax, whatever its size."""
    logits = logits_of(4, vocab)
    found = draws(logits, SamplingParams(), 6000)
    assert_follows(found, torch.softmax(logits, dim=-1))


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(temperature=0.7),
        SamplingParams(temperature=1.6),
        SamplingParams(top_k=5),
        SamplingParams(top_k=100),
        SamplingParams(top_k=3000),
        SamplingParams(top_p=0.4),
        SamplingParams(top_p=0.95),
        SamplingParams(top_p=0.9999),
        SamplingParams(min_p=0.2),
        SamplingParams(min_p=0.00001),
        SamplingParams(temperature=0.8, top_k=40, top_p=0.9, min_p=0.05),
        SamplingParams(temperature=1.3, top_k=2000, top_p=0.97),
        SamplingParams(temperature=1.3, top_k=2000, min_p=0.3),
        SamplingParams(temperature=3.0, top_p=0.8, min_p=0.01),
    ],
    ids=changed,
)
@pytest.mark.parametrize("vocab", [VOCAB, pytest.param(LARGE_VOCAB, marks=pytest.mark.slow)])
def test_filters_are_those_of_transformers(params: SamplingParams, vocab: int) -> None:
    """Temperature, top-k, top-p and min-p in this order give transformers' distribution."""
    logits = logits_of(5, vocab)
    processors: list[LogitsProcessor] = [TemperatureLogitsWarper(float(params.temperature))]
    if params.top_k > 0:
        processors.append(TopKLogitsWarper(params.top_k))
    if params.top_p < 1.0:
        processors.append(TopPLogitsWarper(params.top_p))
    if params.min_p > 0.0:
        processors.append(MinPLogitsWarper(params.min_p))
    assert_follows(draws(logits, params, 2000), warped(logits, *processors))


@pytest.mark.parametrize("top_k", [-1, 0, VOCAB, 10 * VOCAB])
def test_top_k_may_be_off_or_beyond_the_vocabulary(top_k: int) -> None:
    """Such a top-k changes nothing."""
    logits = logits_of(6)
    plain = draws(logits, SamplingParams(), 200)
    assert draws(logits, SamplingParams(top_k=top_k), 200) == plain


@pytest.mark.parametrize("params", [SamplingParams(), SamplingParams(top_p=0.999999)], ids=changed)
def test_a_token_of_probability_zero_is_never_drawn(params: SamplingParams) -> None:
    """Not even by the draws at the very ends of the unit interval."""
    logits = torch.full((VOCAB,), float("-inf"))
    logits[[7, 200, 390]] = torch.tensor([0.0, 1.0, 0.5])
    assert set(draws(logits, params, 3000)) == {7, 200, 390}


def test_all_filters_at_their_narrowest_leave_one_candidate() -> None:
    """The likeliest token survives whatever is asked."""
    logits = logits_of(7)
    params = SamplingParams(
        temperature=100.0, top_k=1, top_p=1e-9, min_p=1.0, xtc_probability=1.0, xtc_threshold=0.0
    )
    assert set(draws(logits, params, 40)) == {int(logits.argmax())}


# --- seeds and batch-mates ----------------------------------------------------------------------


def test_noise_is_even_and_uncorrelated() -> None:
    """Mean, variance and lag correlation of the generator are those of uniform noise."""
    x = torch.tensor([uniform(9, i, DRAW) for i in range(20000)], dtype=torch.float64)
    coin = torch.tensor([uniform(9, i, XTC_COIN) for i in range(20000)], dtype=torch.float64)
    other = torch.tensor([uniform(10, i, DRAW) for i in range(20000)], dtype=torch.float64)
    assert abs(float(x.mean()) - 0.5) < 0.01
    assert abs(float(x.var()) - 1 / 12) < 0.003
    for a, b in ((x[1:], x[:-1]), (x, coin), (x, other)):
        assert abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1])) < 0.03


@pytest.mark.parametrize("seed", [0, -1, -(2**63), 2**63 - 1])
def test_every_seed_is_usable(seed: int) -> None:
    """Negative and extreme seeds give numbers in the unit interval that differ by position."""
    numbers = [uniform(seed, i, DRAW) for i in range(100)]
    assert all(0.0 <= number < 1.0 for number in numbers)
    assert len(set(numbers)) == 100


def test_the_same_seed_and_place_give_the_same_token() -> None:
    """And the next place in the reply another draw."""
    logits = logits_of(8)
    params = SamplingParams(seed=4)
    first = sample_one(logits, make_request([1, 2, 3], params, name="a"))
    again = sample_one(logits, make_request([9], params, name="b"))
    assert first == again
    request = make_request([1], params)
    places = []
    for _ in range(20):
        places.append(sample_one(logits, request).token_id)
        request.token_ids.append(5)
    assert len(set(places)) > 5


def test_without_a_seed_the_request_id_is_one() -> None:
    """Requests without a seed differ from one another and repeat themselves."""
    logits = logits_of(9, spread=0.1)
    found = [
        [sample_one(logits, make_request([1], SamplingParams(), name=name)).token_id]
        for name in ("a", "b", "c", "a")
    ]
    assert found[0] == found[3]
    assert len({token for (token,) in found}) == 3


KINDS = [
    SamplingParams(temperature=0.0),
    SamplingParams(temperature=0.9, seed=1),
    SamplingParams(temperature=1.2, seed=2, top_p=0.9),
    SamplingParams(temperature=1.2, seed=3, top_p=0.99999, logprobs=3),
    SamplingParams(temperature=2.0, seed=4, top_k=30, min_p=0.02),
    SamplingParams(seed=5, repetition_penalty=1.3, presence_penalty=0.5, logprobs=1),
    SamplingParams(seed=6, dry_multiplier=0.8, xtc_probability=0.7),
    SamplingParams(seed=7, logit_bias={4: 3.0}, banned_token_ids=[7], allowed_token_ids=[4, 7, 9]),
    SamplingParams(seed=8, top_k=2000),
]


@pytest.mark.parametrize("vocab", [VOCAB, 40000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_is_sampled_alike_in_any_company(dtype: torch.dtype, vocab: int) -> None:
    """Tokens and log probabilities are the same bits alone, reversed and amid others."""
    rows = torch.stack([logits_of(i, vocab) for i in range(len(KINDS))]).to(dtype)

    def requests() -> list[SlotState]:
        prompt = [1, 2, 3, 1, 2]
        return [make_request(prompt, params, name=str(i)) for i, params in enumerate(KINDS)]

    together = Sampler().sample(Logits(rows.clone()), rows_of(requests())).sampled
    reverse = dict(reversed(rows_of(requests()).items()))
    backwards = Sampler().sample(Logits(rows.flip(0)), reverse).sampled
    alone = {
        i: Sampler().sample(Logits(rows[i : i + 1].clone()), {i: request}).sampled[i]
        for i, request in enumerate(requests())
    }
    assert together == backwards == alone


# --- bias, bans, allowed ------------------------------------------------------------------------


def test_bias_is_added_to_the_logit() -> None:
    """A bias of +100 all but forces its token, one of -100 all but bans it."""
    logits = logits_of(10)
    best = int(logits.argmax())
    assert (
        sample_one(
            logits, make_request([1], SamplingParams(temperature=0.0, logit_bias={3: 100.0}))
        ).token_id
        == 3
    )
    params = SamplingParams(temperature=0.0, logit_bias={best: -100.0})
    assert sample_one(logits, make_request([1], params)).token_id == int(logits.topk(2).indices[1])


def test_banned_tokens_are_never_drawn() -> None:
    """Whatever else is asked."""
    logits = logits_of(11)
    banned = logits.topk(5).indices.tolist()
    found = draws(
        logits, SamplingParams(banned_token_ids=banned, logit_bias={banned[0]: 100.0}), 400
    )
    assert not set(found) & set(banned)


def test_only_allowed_tokens_are_drawn_in_their_own_proportions() -> None:
    """The rest of the distribution is left as it was."""
    logits = logits_of(12)
    allowed = [5, 6, 7, 300]
    expected = torch.zeros(VOCAB)
    expected[allowed] = torch.softmax(logits[allowed], dim=-1)
    assert_follows(draws(logits, SamplingParams(allowed_token_ids=allowed), 3000), expected)


def test_tokens_beyond_the_vocabulary_are_ignored() -> None:
    """A model may have fewer rows than the tokenizer has tokens."""
    params = SamplingParams(
        temperature=0.0,
        logit_bias={VOCAB + 5: 50.0},
        banned_token_ids=[VOCAB],
        allowed_token_ids=[3, VOCAB + 1],
        repetition_penalty=1.2,
        dry_multiplier=1.0,
    )
    prompt = [VOCAB + 3, 4, VOCAB + 3]
    assert sample_one(logits_of(13), make_request(prompt, params)).token_id == 3


def test_no_end_token_before_min_tokens() -> None:
    """End tokens are banned until the reply is long enough, and free afterwards."""
    logits = logits_of(14)
    best = int(logits.argmax())
    request = make_request([1], SamplingParams(temperature=0.0, min_tokens=2), stops=[best])
    request.token_ids.append(8)
    assert sample_one(logits, request).token_id != best
    request.token_ids.append(8)
    assert sample_one(logits, request).token_id == best


def test_min_tokens_does_not_take_the_last_candidate() -> None:
    """When only an end token is allowed, it is drawn although the reply is short."""
    params = SamplingParams(allowed_token_ids=[9], min_tokens=5, seed=1)
    assert sample_one(logits_of(15), make_request([1], params, stops=[9])).token_id == 9


# --- penalties ----------------------------------------------------------------------------------


def request_with(prompt: Sequence[int], reply: Sequence[int], params: SamplingParams) -> SlotState:
    """A request that has answered ``reply`` so far."""
    request = make_request(prompt, params)
    request.token_ids.extend(reply)
    return request


@pytest.mark.slow
def test_repetition_penalty_is_that_of_transformers() -> None:
    """Prompt and reply count, once each."""
    logits = logits_of(16, spread=1.0)
    prompt, reply = [1, 2, 2, 300], [4, 4, int(logits.argmax())]
    row = RepetitionPenaltyLogitsProcessor(1.7)(
        torch.tensor([prompt + reply]), logits[None].clone()
    )
    expected = torch.softmax(row[0], dim=-1)
    found: Counter[int] = Counter()
    for seed in range(2000):
        own = SamplingParams(seed=seed, repetition_penalty=1.7)
        request = request_with(prompt, reply, own)
        found[sample_one(logits, request).token_id] += 1
    assert_follows(found, expected)


@pytest.mark.parametrize(
    ("frequency", "presence", "best"),
    [(0.5, 0.0, 1), (0.3, 0.0, 2), (0.0, 1.1, 1), (0.0, 0.9, 2), (-2.0, 0.0, 2), (0.3, 0.4, 1)],
)
def test_frequency_and_presence_count_the_reply(
    frequency: float, presence: float, best: int
) -> None:
    """Each occurrence costs the frequency penalty, the first also the presence penalty."""
    logits = torch.full((VOCAB,), -5.0)
    logits[[1, 2, 3]] = torch.tensor([4.0, 5.0, 3.8])
    params = SamplingParams(temperature=0.0, frequency_penalty=frequency, presence_penalty=presence)
    # token 1 is in the prompt only, token 2 three times in the reply, token 3 nowhere
    request = request_with([1, 1, 1], [2, 2, 2], params)
    assert sample_one(logits, request).token_id == best


def test_dry_penalises_the_token_that_would_continue_a_repeat() -> None:
    """The penalty is multiplier * base ** (match - allowed length)."""
    logits = torch.full((VOCAB,), -20.0)
    logits[[50, 60]] = torch.tensor([5.0, 4.0])
    repeat = [10, 11, 12, 50, 13, 10, 11, 12]  # a match of three before 50
    for multiplier, token in ((0.5, 50), (0.6, 60)):  # penalties of 0.875 and 1.05
        params = SamplingParams(temperature=0.0, dry_multiplier=multiplier)
        assert sample_one(logits, make_request(repeat, params)).token_id == token


def test_dry_lets_short_repeats_pass() -> None:
    """A match shorter than the allowed length is free."""
    logits = torch.full((VOCAB,), -20.0)
    logits[[50, 60]] = torch.tensor([5.0, 4.9])
    params = SamplingParams(temperature=0.0, dry_multiplier=5.0, dry_allowed_length=4)
    assert sample_one(logits, make_request([10, 11, 12, 50, 13, 10, 11, 12], params)).token_id == 50


def test_dry_does_not_look_across_a_breaker() -> None:
    """A breaker inside the match ends it."""
    logits = torch.full((VOCAB,), -20.0)
    logits[[50, 60]] = torch.tensor([5.0, 4.9])
    prompt = [10, 11, 12, 50, 13, 10, 11, 12]
    params = SamplingParams(temperature=0.0, dry_multiplier=5.0, dry_breaker_ids=[11])
    assert sample_one(logits, make_request(prompt, params)).token_id == 50


def test_dry_looks_back_no_further_than_its_range() -> None:
    """What lies before the range has not been said."""
    logits = torch.full((VOCAB,), -20.0)
    logits[[50, 60]] = torch.tensor([5.0, 4.9])
    prompt = [10, 11, 12, 50, 13, 10, 11, 12]
    params = SamplingParams(temperature=0.0, dry_multiplier=5.0, dry_range=5)
    assert sample_one(logits, make_request(prompt, params)).token_id == 50


def plain_dry(tokens: list[int], params: SamplingParams) -> dict[int, float]:
    """DRY as text-generation-webui writes it: compare backwards from every earlier match."""
    if params.dry_range:
        tokens = tokens[-params.dry_range :]
    breakers = set(params.dry_breaker_ids)
    if tokens[-1] in breakers:
        return {}
    longest: dict[int, int] = {}
    for i in range(len(tokens) - 1):
        following = tokens[i + 1]
        if tokens[i] != tokens[-1] or following in breakers:
            continue
        length = 1
        while i - length >= 0:
            previous = tokens[-1 - length]
            if tokens[i - length] != previous or previous in breakers:
                break
            length += 1
        longest[following] = max(length, longest.get(following, 0))
    return {
        token: params.dry_multiplier * params.dry_base ** (n - params.dry_allowed_length)
        for token, n in longest.items()
        if n >= params.dry_allowed_length
    }


def test_dry_agrees_with_the_plain_algorithm_on_random_texts() -> None:
    """Over small alphabets, breakers and ranges, both give the same penalties."""
    rng = random.Random(0)
    for _ in range(400):
        tokens = [rng.randrange(rng.choice([2, 4, 9])) for _ in range(rng.randrange(1, 60))]
        params = SamplingParams(
            dry_multiplier=0.8,
            dry_allowed_length=rng.randrange(1, 5),
            dry_range=rng.choice([0, 0, 7, 30]),
            dry_breaker_ids=rng.sample(range(9), rng.randrange(3)),
        )
        found = dry_penalties(np.array(tokens, dtype=np.int64), params)
        assert found == pytest.approx(plain_dry(tokens, params))


def test_dry_on_an_endless_repeat_stays_finite() -> None:
    """The penalty of a very long match is huge, not infinite."""
    logits = logits_of(17)
    params = SamplingParams(
        temperature=0.0, dry_multiplier=100.0, dry_base=8.0, allowed_token_ids=[5]
    )
    assert sample_one(logits, make_request([5] * 3000, params)).token_id == 5


def test_penalties_follow_a_reply_as_it_grows() -> None:
    """A sampler that has seen the request before counts its new tokens too, and its lost ones."""
    logits = torch.full((VOCAB,), -9.0)
    logits[[1, 2]] = torch.tensor([3.0, 2.5])
    request = make_request([9], SamplingParams(temperature=0.0, frequency_penalty=0.2))
    sampler = Sampler()
    tokens = []
    for _ in range(6):
        token = sampler.sample(Logits(logits.clone()[None]), {0: request}).sampled[0].token_id
        request.token_ids.append(token)
        tokens.append(token)
    assert tokens == [1, 1, 1, 2, 1, 2]
    del request.token_ids[1:]
    assert sampler.sample(Logits(logits.clone()[None]), {0: request}).sampled[0].token_id == 1


# --- XTC ----------------------------------------------------------------------------------------


def xtc_logits() -> Tensor:
    """Tokens 1, 2, 3 at 0.5, 0.3, 0.15; the rest share 0.05."""
    p = torch.full((VOCAB,), 0.05 / (VOCAB - 3))
    p[[1, 2, 3]] = torch.tensor([0.5, 0.3, 0.15])
    return p.log()


def test_xtc_excludes_all_but_the_least_likely_above_the_threshold() -> None:
    """With certainty and a threshold of 0.1, tokens 1 and 2 are gone and 3 is kept."""
    params = SamplingParams(xtc_probability=1.0, xtc_threshold=0.1)
    expected = xtc_logits().exp()
    expected[[1, 2]] = 0.0
    assert_follows(draws(xtc_logits(), params, 2000), expected / expected.sum())


def test_xtc_acts_as_often_as_it_is_told() -> None:
    """A probability of 0.4 mixes both distributions in this proportion."""
    params = SamplingParams(xtc_probability=0.4, xtc_threshold=0.1, top_k=3)
    plain = torch.zeros(VOCAB)
    plain[[1, 2, 3]] = torch.tensor([0.5, 0.3, 0.15]) / 0.95
    excluded = torch.zeros(VOCAB)
    excluded[3] = 1.0
    assert_follows(draws(xtc_logits(), params, 4000), 0.6 * plain + 0.4 * excluded)


def test_xtc_needs_two_tokens_above_the_threshold() -> None:
    """A single top choice is left alone."""
    params = SamplingParams(xtc_probability=1.0, xtc_threshold=0.4)
    assert_follows(draws(xtc_logits(), params, 1000), xtc_logits().exp())


def test_xtc_above_one_half_is_off() -> None:
    """As in llama.cpp: no two tokens can be that likely."""
    params = SamplingParams(xtc_probability=1.0, xtc_threshold=0.51)
    plain = draws(xtc_logits(), SamplingParams(), 100)
    assert draws(xtc_logits(), params, 100) == plain


def test_xtc_stands_aside_for_an_end_token() -> None:
    """When the end of the reply would be excluded, nothing is."""
    params = SamplingParams(xtc_probability=1.0, xtc_threshold=0.1)
    assert_follows(draws(xtc_logits(), params, 1000, stops=[2]), xtc_logits().exp())


# --- log probabilities --------------------------------------------------------------------------


def test_logprobs_are_those_of_the_raw_distribution() -> None:
    """Temperature, filters, bias and penalties do not show in them."""
    logits = logits_of(18)
    params = SamplingParams(
        temperature=0.3, top_k=2, logit_bias={17: 90.0}, repetition_penalty=1.5, seed=1, logprobs=4
    )
    token = sample_one(logits, make_request([3, 4], params))
    raw = torch.log_softmax(logits, dim=-1)
    assert token.logprobs is not None
    assert token.token_id == 17
    assert token.logprobs.chosen.token_id == 17
    assert token.logprobs.chosen.logprob == pytest.approx(float(raw[17]), abs=1e-5)
    best = raw.topk(4)
    assert [entry.token_id for entry in token.logprobs.top] == best.indices.tolist()
    assert [entry.logprob for entry in token.logprobs.top] == pytest.approx(best.values.tolist())


def test_logprobs_may_be_the_chosen_ones_alone() -> None:
    """Zero alternatives still report the chosen token; ``None`` reports nothing."""
    logits = logits_of(19)
    token = sample_one(logits, make_request([1], SamplingParams(seed=1, logprobs=0)))
    assert token.logprobs is not None
    assert token.logprobs.top == []
    assert sample_one(logits, make_request([1], SamplingParams(seed=1))).logprobs is None


def test_an_impossible_token_has_a_finite_logprob() -> None:
    """JSON cannot say minus infinity."""
    logits = torch.full((VOCAB,), float("-inf"))
    logits[3] = 1.0
    token = sample_one(logits, make_request([1], SamplingParams(seed=1, logprobs=2)))
    assert token.logprobs is not None
    assert token.logprobs.top[1].logprob == -9999.0


# --- broken rows --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_row_that_is_not_finite_fails_alone(value: float) -> None:
    """The others are sampled as if it were not there."""
    rows = torch.stack([logits_of(i) for i in range(3)])
    broken = rows.clone()
    broken[1, 77] = value
    requests = [make_request([1], SamplingParams(seed=i), name=str(i)) for i in range(3)]
    expected = Sampler().sample(Logits(rows), rows_of(requests)).sampled
    out = Sampler().sample(Logits(broken), rows_of(requests))
    assert set(out.failed) == {1}
    assert out.sampled == {slot: expected[slot] for slot in (0, 2)}


def test_a_row_without_any_candidate_fails() -> None:
    """Minus infinity everywhere is no distribution."""
    out = Sampler().sample(Logits(torch.full((1, VOCAB), float("-inf"))), {5: make_request([1])})
    assert out.sampled == {}
    assert set(out.failed) == {5}


def test_a_row_whose_bans_leave_nothing_fails_alone() -> None:
    """As when every allowed token is one that the model does not have."""
    rows = torch.stack([logits_of(i) for i in range(2)])
    nothing = SamplingParams(allowed_token_ids=[VOCAB + 1], seed=1)
    requests = [make_request([1], nothing, name="none"), make_request([1], name="fine")]
    out = Sampler().sample(Logits(rows), rows_of(requests))
    assert "no token is left" in out.failed[0]
    assert set(out.sampled) == {1}
