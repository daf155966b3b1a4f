"""Constrained rows in real batches: valid, the same as alone, and no matter to anybody else."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.build import assemble_core
from engine.config import EngineConfig
from engine.core import EngineCore
from engine.grammar.compile import compile_grammar
from engine.grammar.tokens import vocabulary_of
from engine.model.forward import Logits
from engine.model.grammar_masks import GrammarMasks
from engine.model.loader import LoadedModel
from engine.model.sampler import Sampler
from engine.model.slot_state import SlotState
from engine.outputs import TokenOutput
from engine.request import EngineRequest, FinishReason
from engine.sampling_params import Grammar, GrammarKind, SamplingParams
from tests.model.driver import make_request, random_prompt
from tests.support.grammars import tiny_tokenizer
from tests.support.tiny_models import EOS, VOCAB_SIZE
from tools.grammar_cases import random_case

Load = Callable[[str], LoadedModel]

TOKENIZER = tiny_tokenizer()
VOCABULARY = vocabulary_of(TOKENIZER, VOCAB_SIZE)


def constrained(kind: GrammarKind, source: str, **others: object) -> SamplingParams:
    """Parameters with a grammar."""
    return SamplingParams(grammar=Grammar(kind=kind, source=source), **others)  # type: ignore[arg-type]


def masks() -> GrammarMasks:
    """What an engine would have, with every grammar compiled on the spot."""
    words = VOCABULARY.num_words
    return GrammarMasks(lambda g: compile_grammar(g, VOCABULARY), words, [EOS])


def row(params: SamplingParams, reply: str = "", name: str = "r") -> SlotState:
    """A sequence whose reply has come so far."""
    state = make_request([7, 8, 9], params, name=name, stops=[EOS])
    state.token_ids += TOKENIZER.encode(reply, add_special_tokens=False)
    return state


def sample(rows: Sequence[SlotState], logits: Tensor | None = None) -> tuple[list[str], list[str]]:
    """Sample each row once; texts and sentences, empty where there is none."""
    if logits is None:
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(len(rows), VOCAB_SIZE, generator=generator)
    out = Sampler(masks()).sample(Logits(logits), dict(enumerate(rows)))
    texts = [
        TOKENIZER.decode([out.sampled[i].token_id], skip_special_tokens=False)
        if i in out.sampled
        else ""
        for i in range(len(rows))
    ]
    return texts, [out.failed.get(i, "") for i in range(len(rows))]


def test_only_what_the_grammar_allows_is_left() -> None:
    """Every other logit is minus infinity, and those allowed are as they were."""
    logits = torch.randn(3, VOCAB_SIZE)
    before = logits.clone()
    rows = [row(SamplingParams()), row(constrained("regex", "[ab]c")), row(SamplingParams())]
    assert masks().apply(logits, rows) == {}
    left = torch.isfinite(logits[1])
    assert {TOKENIZER.decode([i]) for i in left.nonzero().flatten().tolist()} == {"a", "b"}
    assert torch.equal(logits[1][left], before[1][left])
    assert torch.equal(logits[[0, 2]], before[[0, 2]])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="compares devices")
def test_the_device_forbids_the_same() -> None:
    """Bits are taken apart in another way there."""
    logits = torch.randn(2, VOCAB_SIZE)
    on_device = logits.cuda()
    for target in (logits, on_device):
        masks().apply(target, [row(constrained("json_schema", "{}")) for _ in range(2)])
    assert torch.equal(logits, on_device.cpu())


def test_no_constrained_row_no_work() -> None:
    """Nothing is compiled, made or copied."""

    def nobody(grammar: Grammar) -> None:
        raise AssertionError

    logits = torch.randn(2, VOCAB_SIZE)
    unused = GrammarMasks(nobody, 1, [EOS])  # type: ignore[arg-type]
    assert unused.apply(logits, [row(SamplingParams()) for _ in range(2)]) == {}


@pytest.mark.parametrize(
    "others",
    [
        {"temperature": 0.0},
        {"temperature": 3.0},
        {"repetition_penalty": 10.0},
        {"frequency_penalty": 2.0, "presence_penalty": 2.0},
        {"dry_multiplier": 50.0, "dry_allowed_length": 1},
        {"top_k": 1},
        {"top_p": 0.01},
        {"min_p": 1.0},
        {"xtc_probability": 1.0, "xtc_threshold": 0.0},
        {"logit_bias": {40: 100.0, 60: 100.0}},
    ],
)
def test_no_parameter_leads_out_of_the_grammar(others: dict[str, object]) -> None:
    """Penalties, filters and biases choose among what is allowed."""
    for seed in range(10):
        params = constrained("regex", "a{3}[xyz]+", seed=seed, **others)
        [text], [sentence] = sample([row(params, "aaaxyx")], torch.randn(1, VOCAB_SIZE) * 20)
        assert (sentence, set(text) <= set("xyz") or text == "<eos>") == ("", True)


def test_min_tokens_yields_to_a_complete_grammar() -> None:
    """While more may come, the reply goes on; when nothing may, it ends in spite of it."""
    params = constrained("regex", "a{2,4}", min_tokens=50)
    assert sample([row(params, "aa")])[0] in (["a"], ["aa"])
    assert sample([row(params, "aaaa")]) == (["<eos>"], [""])


@pytest.mark.parametrize("where", ["banned_token_ids", "allowed_token_ids"])
def test_bans_of_all_that_is_allowed_fail_the_row_alone(where: str) -> None:
    """With a sentence that names the reason; the rows beside it get their tokens."""
    [x] = TOKENIZER.encode("x", add_special_tokens=False)
    [y] = TOKENIZER.encode("y", add_special_tokens=False)
    bad = constrained("regex", "x", **{where: [x] if where.startswith("banned") else [y]})
    texts, sentences = sample([row(constrained("regex", "y")), row(bad), row(SamplingParams())])
    assert texts[0] == "y"
    assert "the grammar allows" in sentences[1]
    assert sentences[0] == sentences[2] == ""


def test_a_reply_that_has_left_its_grammar_fails_alone() -> None:
    """As does one whose grammar is too much work; nobody else notices."""
    texts, sentences = sample(
        [row(constrained("regex", "y+"), "x"), row(constrained("regex", "z"))]
    )
    assert "no way on" in sentences[0]
    assert texts[1] == "z"
    out = Sampler().sample(Logits(torch.randn(1, VOCAB_SIZE)), {0: row(constrained("regex", "z"))})
    assert "follows no grammars" in out.failed[0]


def test_log_probabilities_are_the_models_own() -> None:
    """They are reported as if there were no grammar."""
    logits = torch.randn(1, VOCAB_SIZE)
    raw = torch.log_softmax(logits[0], dim=-1)
    state = row(constrained("regex", "z", logprobs=2))
    chosen = Sampler(masks()).sample(Logits(logits.clone()), {0: state}).sampled[0].logprobs
    assert chosen is not None
    assert chosen.chosen.logprob == pytest.approx(float(raw[chosen.chosen.token_id]))
    assert [top.token_id for top in chosen.top] == torch.topk(raw, 2).indices.tolist()


# ------------------------------------------------------------------- in an engine


def make_core(loaded: LoadedModel, **settings: object) -> EngineCore:
    """A fresh core over a model that is loaded already."""
    settings = {"kv_cache_tokens": 4096, "num_threads": 1, **settings}
    return assemble_core(loaded, EngineConfig.from_flat(model=loaded.name, **settings))


def finish(
    core: EngineCore, requests: Sequence[EngineRequest], preempted: list[int] | None = None
) -> dict[str, list[int]]:
    """Run all requests to their ends, which must be no errors; each one's tokens.

    Takes down in ``preempted`` how many were preempted in each step.
    """
    said: dict[str, list[int]] = {request.request_id: [] for request in requests}
    ended: dict[str, TokenOutput] = {}
    for request in requests:
        core.compile(request.params)
    outputs = core.submit(requests).outputs
    while len(ended) < len(requests):
        for output in outputs:
            said[output.request_id] += output.token_ids
            if output.finish_reason is not None:
                ended[output.request_id] = output
        frame = core.step()
        outputs = frame.outputs
        if preempted is not None and frame.stats is not None:
            preempted.append(frame.stats.num_preempted)
        core.scheduler.check_integrity()
    errors = {name: end.error_message for name, end in ended.items() if end.error_code}
    assert errors == {}
    return said


def mixed_requests(seed: int, count: int) -> list[EngineRequest]:
    """Constrained, seeded, greedy and sampled rows of random lengths."""
    rng = random.Random(seed)
    requests = []
    for number in range(count):
        grammar = random_case(rng).grammar if number % 3 else None
        params = SamplingParams(
            temperature=rng.choice([0.0, 1.0, 1.5]),
            top_p=rng.choice([1.0, 0.9]),
            repetition_penalty=rng.choice([1.0, 1.2]),
            seed=rng.randrange(1000),
            max_tokens=rng.randrange(5, 40),
            grammar=grammar,
        )
        prompt = random_prompt(rng.randrange(1, 60), seed=rng.randrange(1000))
        name = f"r{number}"
        requests.append(EngineRequest(request_id=name, prompt_token_ids=prompt, params=params))
    return requests


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"max_num_batched_tokens": 13},
        {"kv_cache_tokens": 160, "policy": "fcfs", "max_num_seqs": 8},
        {"look_ahead": True},
        {
            "look_ahead": True,
            "kv_cache_tokens": 160,
            "policy": "fcfs",
            "max_num_batched_tokens": 17,
        },
    ],
    ids=["roomy", "odd chunks", "preempted", "look-ahead", "all at once"],
)
def test_each_row_of_a_mixed_batch_equals_its_solo_run(
    settings: dict[str, object], load: Load
) -> None:
    """Whatever it is batched with, cut into, or preempted by."""
    loaded = load("llama")
    requests = mixed_requests(3, 24)
    solo: dict[str, list[int]] = {}
    for request in requests:
        solo |= finish(make_core(loaded), [request])
    preempted: list[int] = []
    assert finish(make_core(loaded, **settings), requests, preempted) == solo
    assert bool(sum(preempted)) == ("policy" in settings)


@pytest.mark.slow
def test_an_invalid_grammar_is_refused_and_the_others_go_on(load: Load) -> None:
    """It ends with its own error; the rest of the batch ends as ever."""
    core = make_core(load("llama"))
    bad = constrained("regex", "(", max_tokens=4)
    good = constrained("regex", "a{30}", max_tokens=4)
    requests = [
        EngineRequest(request_id=name, prompt_token_ids=[7, 8], params=params)
        for name, params in (("bad", bad), ("good", good), ("free", SamplingParams(max_tokens=4)))
    ]
    ended: dict[str, TokenOutput] = {}
    outputs = core.submit(requests).outputs
    while len(ended) < 3:
        ended |= {output.request_id: output for output in outputs if output.finish_reason}
        outputs = core.step().outputs
    assert ended["bad"].error_code == "invalid_grammar"
    assert ended["good"].finish_reason is FinishReason.LENGTH
    assert ended["free"].error_code is None


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_constrained_replies_are_valid_whatever_the_weights(family: str, load: Load) -> None:
    """A hundred random grammars of all kinds, each reply judged by somebody else."""
    loaded = load(family)
    rng = random.Random(family)
    cases = [random_case(rng) for _ in range(100)]
    requests = [
        EngineRequest(
            request_id=f"r{number}",
            prompt_token_ids=random_prompt(rng.randrange(1, 20), seed=number),
            params=SamplingParams(
                grammar=case.grammar, seed=number, temperature=rng.choice([0.7, 1.0, 1.5])
            ),
        )
        for number, case in enumerate(cases)
    ]
    said = finish(make_core(loaded, kv_cache_tokens=16384), requests)
    for request, case in zip(requests, cases, strict=True):
        tokens = said[request.request_id]
        assert tokens[-1] == EOS, case.grammar
        assert case.judge(TOKENIZER.decode(tokens[:-1])), case.grammar


def test_masks_of_a_wide_vocabulary_reach_its_end() -> None:
    """The last token of a vocabulary that fills no word of the mask is masked like any other."""
    logits = torch.zeros(1, VOCAB_SIZE)
    masks().apply(logits, [row(constrained("choice", json.dumps(["a"])))])
    assert np.isfinite(logits[0].numpy()).sum() == 1
