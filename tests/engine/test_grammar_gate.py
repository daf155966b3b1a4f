"""Requests wait for their grammars, in order, and may be called off while they do."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from engine.errors import InvalidGrammar, QueueFull, RequestError
from engine.grammar.gate import GrammarGate, Submitted
from engine.request import EngineRequest, RequestUpdate
from engine.sampling_params import SamplingParams
from tests.support.fake_grammars import BAD, FakeCompiling, grammar


def request(name: str, source: str | None = None) -> EngineRequest:
    """A request with or without a grammar."""
    params = SamplingParams(grammar=None if source is None else grammar(source))
    return EngineRequest(request_id=name, prompt_token_ids=[1], params=params)


def update(name: str, source: str | None = None) -> RequestUpdate:
    """News of a request, with or without a new grammar."""
    params = None if source is None else SamplingParams(grammar=grammar(source))
    return RequestUpdate(request_id=name, token_ids=[2], params=params, is_final=source is not None)


def test_what_has_no_grammar_or_a_known_one_passes() -> None:
    """Nothing is held that need not be."""
    fake = FakeCompiling()
    gate = GrammarGate(fake.compiler)
    assert gate.admit(request("a"))
    gate.compile(grammar("x"))
    assert gate.admit(request("b", "x"))
    assert gate.admit(update("c"))
    assert not gate.has_pending


def test_a_request_comes_back_when_its_grammar_is_compiled() -> None:
    """Once, without an error; others with the same grammar come with it, in order."""
    fake = FakeCompiling()
    gate = GrammarGate(fake.compiler)
    held = [request("a", "x"), request("b", "y"), request("c", "x")]
    assert not any(gate.admit(one) for one in held)
    assert "a" in gate
    fake.run(1)
    assert gate.has_ready
    assert gate.take_ready() == [(held[0], None), (held[2], None)]
    assert gate.take_ready() == []
    fake.run()
    assert gate.take_ready() == [(held[1], None)]
    assert not gate.has_pending


def test_a_bad_grammar_ends_its_requests_alone() -> None:
    """They come back with the error; the next to ask is refused at once."""
    fake = FakeCompiling()
    gate = GrammarGate(fake.compiler)
    gate.admit(request("a", BAD))
    gate.admit(request("b", "x"))
    fake.run()
    (bad, error), good = gate.take_ready()
    assert bad.request_id == "a"
    assert isinstance(error, InvalidGrammar)
    assert good == (request("b", "x"), None)
    with pytest.raises(InvalidGrammar):
        gate.admit(request("c", BAD))


def test_news_waits_behind_its_request() -> None:
    """What is appended to a request that is held comes after it, whatever its own grammar."""
    fake = FakeCompiling()
    gate = GrammarGate(fake.compiler)
    gate.admit(request("a", "x"))
    assert not gate.admit(update("a"))
    assert not gate.admit(update("a", "y"))
    fake.run(1)
    assert gate.take_ready() == [(request("a", "x"), None), (update("a"), None)]
    assert "a" in gate
    fake.run()
    assert gate.take_ready() == [(update("a", "y"), None)]


def test_nothing_follows_a_refused_request() -> None:
    """What came behind it is dropped with it."""
    fake = FakeCompiling()
    gate = GrammarGate(fake.compiler)
    gate.admit(request("a", BAD))
    gate.admit(update("a"))
    fake.run()
    assert [one.request_id for one, _ in gate.take_ready()] == ["a"]
    assert not gate.has_pending


def test_a_cancelled_request_does_not_come_back() -> None:
    """Cancelling gives back what was held; its grammar is kept for others."""
    fake = FakeCompiling()
    gate = GrammarGate(fake.compiler)
    gate.admit(request("a", "x"))
    assert gate.cancel("a") == [request("a", "x")]
    assert gate.cancel("a") == []
    fake.run()
    assert gate.take_ready() == []
    assert gate.admit(request("b", "x"))


def test_the_gate_is_bounded() -> None:
    """One too many is refused by name, and nothing of it stays."""
    fake = FakeCompiling()
    gate = GrammarGate(fake.compiler, max_held=2)
    gate.admit(request("a", "x"))
    gate.admit(request("b", "x"))
    with pytest.raises(QueueFull, match="limit is 2"):
        gate.admit(request("c", "x"))
    assert "c" not in gate


@pytest.mark.parametrize("seed", range(20))
def test_random_histories_lose_and_repeat_nothing(seed: int) -> None:
    """Everything passes, comes back, is refused or is cancelled: once, and in order."""
    rng = random.Random(seed)
    fake = FakeCompiling(max_kept=3, max_pending=4)
    gate = GrammarGate(fake.compiler, max_held=12)
    sent: dict[str, list[Submitted]] = defaultdict(list)
    seen: dict[str, list[Submitted]] = defaultdict(list)
    over: set[str] = set()

    def take(drain: bool = False) -> None:
        fake.run(None if drain else rng.randrange(len(fake.jobs) + 1))
        for one, error in gate.take_ready():
            assert one.request_id not in over
            seen[one.request_id].append(one)
            if error is not None:
                over.add(one.request_id)

    for turn in range(300):
        name = f"r{turn // 4}"
        source = rng.choice([None, None, "x", "y", "z", "w", "v", BAD])
        one: Submitted = update(name, source) if sent[name] else request(name, source)
        if name not in over:
            try:
                passed = gate.admit(one)
            except RequestError:
                gate.cancel(name)
                over.add(name)
            else:
                sent[name].append(one)
                if passed:
                    seen[name].append(one)
        if rng.random() < 0.1:
            gate.cancel(name)
            over.add(name)
        if rng.random() < 0.4:
            take()
        assert gate.num_held <= 12
    while fake.jobs:
        take(drain=True)
    assert not gate.has_pending
    for name, ones in sent.items():
        assert seen[name] == ones[: len(seen[name])]
        assert name in over or seen[name] == ones


def test_a_resumed_request_is_held_whatever_waits_already() -> None:
    """It was accepted once; neither bound is for it."""
    fake = FakeCompiling(max_pending=1)
    gate = GrammarGate(fake.compiler, max_held=1)
    gate.admit(request("a", "x"))
    again = [
        EngineRequest(
            request_id=name,
            prompt_token_ids=[1],
            params=SamplingParams(grammar=grammar(name)),
            is_resumed=True,
        )
        for name in "bc"
    ]
    assert not any(gate.admit(one) for one in again)
    with pytest.raises(QueueFull):
        gate.admit(request("d", "x"))
    fake.run()
    assert [submitted.request_id for submitted, _ in gate.take_ready()] == ["a", "b", "c"]
