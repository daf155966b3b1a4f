"""What is known of live requests: enough for another engine to go on with them."""

from __future__ import annotations

import random

import msgspec
import pytest

from engine.outputs import StepFrame, StepStats, TokenOutput
from engine.request import EngineRequest, FinishReason, Listener, RequestUpdate, Service
from engine.sampling_params import SamplingParams
from engine.supervision.ledger import RequestLedger


def request(name: str, *, is_final: bool = True, listener: Listener | None = None) -> EngineRequest:
    """A submission."""
    return EngineRequest(
        request_id=name,
        prompt_token_ids=[1, 2, 3],
        params=SamplingParams(seed=7),
        service=Service(is_final=is_final, listener=listener),
    )


def stats(*batch: str) -> StepStats:
    """A step with these in it."""
    return StepStats(
        step=1,
        time_s=0.0,
        duration_s=0.01,
        num_running=0,
        num_waiting=0,
        prefill_tokens=0,
        decode_tokens=0,
        joined=[],
        left=[],
        kv_blocks_used=0,
        kv_blocks_cached=0,
        kv_blocks_total=1,
        batch=[(name, "prefill", 1) for name in batch],
    )


def token(name: str, *token_ids: int, cached: int = 0, queue_s: float = 0.0) -> StepFrame:
    """A step that brought tokens to one request."""
    output = TokenOutput(
        request_id=name,
        token_ids=list(token_ids),
        num_prompt_tokens=3,
        num_cached_tokens=cached,
        queue_s=queue_s,
    )
    return StepFrame([output])


def end(name: str) -> StepFrame:
    """A step that ended one request."""
    return StepFrame([TokenOutput(name, [], FinishReason.STOP)])


@pytest.fixture
def ledger() -> RequestLedger:
    """An empty one."""
    return RequestLedger(max_losses=3)


def names(ledger: RequestLedger) -> list[str]:
    """Who is let in now."""
    return [request.request_id for request, _ in ledger.let_in(0.0)]


def test_a_lost_request_is_submitted_again_with_its_reply_so_far(ledger: RequestLedger) -> None:
    """Same prompt, same parameters, the tokens behind them."""
    ledger.add(request("a"), is_sent=True)
    ledger.take(token("a", 10), 0.0)
    ledger.take(token("a", 11), 0.0)
    assert ledger.lose() == []
    ((again, updates),) = ledger.let_in(0.0)
    assert again == msgspec.structs.replace(
        request("a"), output_token_ids=[10, 11], is_resumed=True
    )
    assert updates == []


def test_nobody_is_let_in_twice(ledger: RequestLedger) -> None:
    """An engine that is ready has them all."""
    ledger.add(request("a"), is_sent=True)
    ledger.lose()
    assert names(ledger) == ["a"]
    assert names(ledger) == []


def test_who_has_ended_is_forgotten(ledger: RequestLedger) -> None:
    """Nothing is left to go on with."""
    ledger.add(request("a"), is_sent=True)
    ledger.take(end("a"), 0.0)
    assert len(ledger) == 0
    ledger.lose()
    assert names(ledger) == []


def test_an_appended_prompt_is_kept(ledger: RequestLedger) -> None:
    """With the parameters that came with its end."""
    ledger.add(request("a", is_final=False), is_sent=True)
    ledger.update(RequestUpdate(request_id="a", token_ids=[4]), 0.0)
    last = RequestUpdate(
        request_id="a", token_ids=[5], params=SamplingParams(seed=8), is_final=True
    )
    assert ledger.update(last, 0.0)
    ledger.lose()
    ((again, _),) = ledger.let_in(0.0)
    assert (again.prompt_token_ids, again.params.seed) == ([1, 2, 3, 4, 5], 8)
    assert again.service.is_final


def test_an_unfinished_prompt_waits_for_its_rest_again(ledger: RequestLedger) -> None:
    """Appending goes on as if nothing had happened."""
    ledger.add(request("a", is_final=False), is_sent=True)
    ledger.lose()
    assert not ledger.update(RequestUpdate(request_id="a", token_ids=[4]), 0.0)
    ((again, _),) = ledger.let_in(0.0)
    assert (again.prompt_token_ids, again.service.is_final) == ([1, 2, 3, 4], False)


def test_what_cannot_be_appended_is_told_to_the_next_engine_too(ledger: RequestLedger) -> None:
    """It has to refuse it, as the lost one would have."""
    ledger.add(request("a"), is_sent=True)
    wrong = RequestUpdate(request_id="a", token_ids=[9])
    ledger.update(wrong, 0.0)
    ledger.lose()
    ((again, updates),) = ledger.let_in(0.0)
    assert again.prompt_token_ids == [1, 2, 3]
    assert updates == [wrong]


def test_a_listener_is_where_they_are_by_now(ledger: RequestLedger) -> None:
    """Half a second after six tokens, a listener of four per second has heard two."""
    ledger.add(request("a", listener=Listener(tokens_per_s=4.0)), is_sent=True)
    ledger.take(token("a", 1, 2, 3, 4, 5, 6), 10.0)
    ledger.lose()
    ((_, updates),) = ledger.let_in(10.5)
    assert updates == [RequestUpdate(request_id="a", num_heard_tokens=2)]


def test_what_a_listener_reported_is_believed(ledger: RequestLedger) -> None:
    """They may have paused."""
    ledger.add(request("a", listener=Listener(tokens_per_s=4.0)), is_sent=True)
    ledger.take(token("a", 1, 2, 3, 4, 5, 6), 10.0)
    ledger.update(RequestUpdate(request_id="a", num_heard_tokens=1), 12.0)
    ledger.lose()
    ((_, updates),) = ledger.let_in(12.0)
    assert updates == [RequestUpdate(request_id="a", num_heard_tokens=1)]


def test_the_usage_is_that_of_the_first_engine(ledger: RequestLedger) -> None:
    """What the second finds in its cache is no business of the caller's."""
    ledger.add(request("a"), is_sent=True)
    ledger.take(token("a", 10, cached=2, queue_s=0.5), 0.0)
    ledger.lose()
    names(ledger)
    (output,) = ledger.take(token("a", 11, cached=0, queue_s=0.0), 0.0).outputs
    assert (output.num_cached_tokens, output.queue_s) == (2, 0.5)


def test_who_was_called_off_ends_with_the_engine(ledger: RequestLedger) -> None:
    """And is not computed again."""
    ledger.add(request("a"), is_sent=True)
    assert ledger.cancel("a") == (True, None)
    (ended,) = ledger.lose()
    assert ended.finish_reason is FinishReason.ABORT
    assert names(ledger) == []


def test_who_waits_for_an_engine_can_be_called_off(ledger: RequestLedger) -> None:
    """No engine will say so, so the ledger does."""
    ledger.add(request("a"), is_sent=False)
    is_told, ended = ledger.cancel("a")
    assert (is_told, ended and ended.finish_reason) == (False, FinishReason.ABORT)
    assert ledger.cancel("a") == (False, None)


def test_who_was_there_at_three_losses_in_a_row_is_given_up(ledger: RequestLedger) -> None:
    """With a code of its own."""
    ledger.add(request("bad"), is_sent=True)
    assert ledger.lose() == []
    names(ledger)
    assert ledger.lose() == []
    names(ledger)
    (ended,) = ledger.lose()
    assert (ended.finish_reason, ended.error_code) == (FinishReason.ERROR, "engine_restarted")
    assert len(ledger) == 0


def test_a_token_clears_a_request(ledger: RequestLedger) -> None:
    """It was computed, and the engine lives."""
    ledger.add(request("a"), is_sent=True)
    for _ in range(10):
        assert ledger.lose() == []
        assert names(ledger) == ["a"]
        ledger.take(token("a", 5), 0.0)


def test_an_unfinished_prompt_is_cleared_by_having_been_computed(ledger: RequestLedger) -> None:
    """It brings no token that could speak for it."""
    ledger.add(request("a", is_final=False), is_sent=True)
    for _ in range(10):
        assert ledger.lose() == []
        assert names(ledger) == ["a"]
        ledger.take(StepFrame([], stats("a")), 0.0)


def test_suspects_are_let_in_one_at_a_time(ledger: RequestLedger) -> None:
    """So that the next loss tells which of them it is."""
    for name in "abc":
        ledger.add(request(name), is_sent=True)
    ledger.lose()
    assert names(ledger) == ["a", "b", "c"]
    ledger.lose()
    assert names(ledger) == ["a"]
    assert names(ledger) == []
    ledger.take(token("a", 5), 0.0)
    assert names(ledger) == ["b"]
    (ended,) = ledger.lose()
    assert ended.request_id == "b"
    assert names(ledger) == ["a", "c"]


def test_who_came_later_is_no_suspect(ledger: RequestLedger) -> None:
    """Newcomers do not wait for those."""
    for name in "ab":
        ledger.add(request(name), is_sent=True)
    ledger.lose()
    names(ledger)
    ledger.lose()
    ledger.add(request("new"), is_sent=False)
    assert names(ledger) == ["a", "new"]


def test_a_request_that_kills_ends_alone_whatever_is_around_it() -> None:
    """Random histories: every loss is its doing, everybody else goes on, and nobody is lost."""
    for seed in range(40):
        rng = random.Random(seed)
        ledger = RequestLedger(max_losses=3)
        live = [f"r{index}" for index in range(rng.randint(2, 8))]
        bad = rng.choice(live)
        for name in live:
            ledger.add(request(name), is_sent=False)
        inside: list[str] = []
        ended: list[str] = []
        num_losses = 0
        while bad in live:
            inside += names(ledger)
            ledger.check_integrity()
            others = [name for name in inside if name != bad]
            if bad in inside and (not others or rng.random() < 0.3):
                num_losses += 1
                ended += [output.request_id for output in ledger.lose()]
                inside = []
            else:
                ledger.take(token(rng.choice(others), 5), 0.0)
            ledger.check_integrity()
            live = [name for name in live if name not in ended]
        assert ended == [bad]
        assert num_losses == 3
        assert len(ledger) == len(live)
