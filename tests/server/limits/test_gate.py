"""Every response goes through one gate, and both of its sides count the same."""

from __future__ import annotations

import random

import pytest

from engine.outputs import RequestDelta
from engine.request import FinishReason
from server.limits.account_limits import AccountLimits
from server.limits.gate import Gate, Passage
from server.limits.shedding import SheddingRules

RULES = SheddingRules(max_wait_s=10.0, max_late_share=0.05)


def make_gate(**limits: int) -> tuple[Gate, list[str]]:
    """A gate, and the reasons of its refusals."""
    reasons: list[str] = []
    usual = AccountLimits(**limits)
    return Gate(RULES, lambda tenant: usual, reasons.append), reasons


def delta(
    num_tokens: int = 0, reason: FinishReason | None = None, *, prompt: int = 0, output: int = 0
) -> RequestDelta:
    """What one step brought."""
    return RequestDelta(
        "r",
        "",
        [1] * num_tokens,
        reason,
        num_prompt_tokens=prompt,
        num_output_tokens=output,
    )


def test_a_response_is_followed_from_the_gate_to_its_end() -> None:
    """It waits, runs, and is settled for what it came to."""
    gate, _ = make_gate(tokens_per_min=6000)
    passage = gate.pass_through("a", 1000, 0)
    assert (gate.load.num_waiting, gate.load.num_running) == (1, 0)
    passage.on_delta(delta(1), 0)
    assert (gate.load.num_waiting, gate.load.num_running) == (0, 1)
    passage.on_delta(delta(1, FinishReason.STOP, prompt=50, output=2), 0)
    assert gate.quotas.num_live == 0
    assert gate.rate_limits("a", 0)[0].remaining == 5948


def test_a_response_that_never_begins_leaves_no_trace() -> None:
    """Refused by the engine, called off, or never made."""
    gate, _ = make_gate(tokens_per_min=6000)
    gate.pass_through("a", 1000, 0).on_delta(delta(0, FinishReason.ERROR), 0)
    gate.pass_through("a", 1000, 0).end(0, 0)
    gate.check_integrity()
    assert gate.quotas.num_live == 0
    assert gate.rate_limits("a", 0)[0].remaining == 6000


def test_what_comes_after_the_end_is_ignored() -> None:
    """A delta of a response that was ended here."""
    gate, _ = make_gate()
    passage = gate.pass_through("a", 1, 0)
    passage.end(0, 0)
    passage.on_delta(delta(1, FinishReason.ABORT), 1)
    gate.check_integrity()


def test_refusals_are_counted_with_their_reasons() -> None:
    """Connections, limits of one's own, and overload."""
    gate, reasons = make_gate(max_connections=1, requests_per_min=1)
    gate.enter_connection("a", 0)
    gate.enter_connection("a", 0)
    gate.pass_through("a", 1, 0)
    gate.check("a", 1, 0)
    for _ in range(9):
        gate.pass_through("b", 1, 0)
    gate.check("c", 1, 100)
    assert reasons == ["connections_per_key", "requests_per_min", "overloaded"]


def test_nothing_is_read_ahead_for_who_owes_tokens() -> None:
    """What is refused when it is asked for is not done unasked either."""
    gate, _ = make_gate(tokens_per_min=60)
    assert gate.may_look_ahead("a", 0)
    gate.pass_through("a", 60, 0).end(100, 0)
    assert not gate.may_look_ahead("a", 0)
    assert gate.may_look_ahead("b", 0)


@pytest.mark.parametrize("seed", range(10))
def test_both_sides_count_the_same(seed: int) -> None:
    """After any history of responses, and at its end there is nothing left."""
    rng = random.Random(seed)
    gate, _ = make_gate(max_concurrent_responses=5, requests_per_min=1000)
    passages: list[Passage] = []
    now = 0.0
    for _ in range(400):
        now += rng.random()
        tenant = f"a{rng.randrange(5)}"
        if rng.random() < 0.4:
            if gate.check(tenant, 10, now) is None:
                passages.append(gate.pass_through(tenant, 10, now))
        elif passages:
            passage = rng.choice(passages)
            reason = rng.choice((None, None, *FinishReason))
            passage.on_delta(delta(rng.randrange(2), reason, prompt=3, output=2), now)
        gate.check_integrity()
    for passage in passages:
        passage.end(0, now)
    gate.check_integrity()
    assert gate.quotas.num_live == 0
