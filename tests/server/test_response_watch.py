"""One response, followed: what is counted of it, and the line that sums it up."""

from __future__ import annotations

from random import Random

import pytest

from engine.outputs import RequestDelta
from engine.request import FinishReason
from server.metrics import Metrics
from server.response_times import EndedResponse
from server.response_watch import ResponseWatch


@pytest.fixture
def metrics() -> Metrics:
    """A registry of its own."""
    return Metrics()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """A sample's value."""
    return metrics.registry.get_sample_value(name, labels)


def delta(count: int = 1, reason: FinishReason | None = None, **more: object) -> RequestDelta:
    """What one step brought."""
    return RequestDelta("r", "x" * count, [1] * count, reason, **more)  # type: ignore[arg-type]


def test_only_whole_replies_are_successes(metrics: Metrics) -> None:
    """What was called off or failed is counted elsewhere."""
    for reason in FinishReason:
        ResponseWatch(metrics, 1.0).on_delta(delta(0, reason), 2.0)
    whole = {"stop": 1, "length": 1, "abort": None, "error": None}
    for name, count in whole.items():
        assert value(metrics, "kaiwa_request_success_total", finished_reason=name) == count
        other = value(metrics, "kaiwa_request_unfinished_total", finished_reason=name)
        assert other == (1 if count is None else None)


def test_a_response_is_followed_to_its_end(metrics: Metrics) -> None:
    """First token, gaps, queue and whole duration land in their histograms."""
    watch = ResponseWatch(metrics, 10.0)
    watch.on_delta(delta(), 10.5)
    watch.on_delta(delta(), 10.6)
    watch.on_delta(delta(2), 10.8)
    end = delta(
        0,
        FinishReason.STOP,
        num_prompt_tokens=100,
        num_cached_tokens=64,
        num_output_tokens=5,
        queue_s=0.1,
    )
    watch.on_delta(end, 10.9)
    assert value(metrics, "kaiwa_time_to_first_token_seconds_sum") == pytest.approx(0.5)
    assert value(metrics, "kaiwa_inter_token_latency_seconds_count") == 2
    assert value(metrics, "kaiwa_e2e_request_latency_seconds_sum") == pytest.approx(0.9)
    assert value(metrics, "kaiwa_request_queue_time_seconds_sum") == pytest.approx(0.1)
    assert value(metrics, "kaiwa_generation_tokens_total") == 4
    assert value(metrics, "kaiwa_prompt_tokens_total") == 100
    assert value(metrics, "kaiwa_prefix_cache_hits_total") == 64
    assert value(metrics, "kaiwa_request_success_total", finished_reason="stop") == 1
    assert watch.summary() == {
        "finish_reason": "stop",
        "prompt_tokens": 100,
        "cached_tokens": 64,
        "output_tokens": 5,
        "queue_ms": 100.0,
        "ttft_ms": 500.0,
        "itl_p95_ms": 100.0,
        "e2e_ms": 900.0,
        "error_code": None,
    }


def test_a_failure_is_a_rejection_with_its_code(metrics: Metrics) -> None:
    """Refusals are counted by reason, without touching the latencies."""
    watch = ResponseWatch(metrics, 0.0)
    watch.on_delta(delta(0, FinishReason.ERROR, error_code="queue_full"), 0.1)
    assert value(metrics, "kaiwa_admission_rejections_total", reason="queue_full") == 1
    assert value(metrics, "kaiwa_time_to_first_token_seconds_count") == 0


def test_the_way_from_cancel_to_abort_is_timed(metrics: Metrics) -> None:
    """How long a barge-in takes to free the engine."""
    watch = ResponseWatch(metrics, 0.0)
    watch.cancelled(1.0)
    watch.cancelled(1.5)
    watch.on_delta(delta(0, FinishReason.ABORT), 1.25)
    watch.cancelled(2.0)
    assert value(metrics, "kaiwa_barge_in_cancel_seconds_sum") == pytest.approx(0.25)


PARTS = ("queue", "prefill", "decode", "rest")


def test_the_parts_of_all_responses_make_the_whole(metrics: Metrics) -> None:
    """However they end: end-to-end is queue, prefill, decode and rest, over the sums as printed."""
    choose = Random(7)
    for _ in range(200):
        now = choose.uniform(0, 1000)
        watch = ResponseWatch(metrics, now)
        for _ in range(choose.randrange(5)):
            now += choose.uniform(0, 2)
            watch.on_delta(delta(choose.randrange(3)), now)
        reason = choose.choice(list(FinishReason))
        end = delta(
            choose.randrange(2), reason, num_prompt_tokens=9, queue_s=choose.uniform(-0.1, 3)
        )
        watch.on_delta(end, now + choose.uniform(0, 1))
    sums = [value(metrics, f"kaiwa_request_{part}_time_seconds_sum") for part in PARTS]
    whole = value(metrics, "kaiwa_e2e_request_latency_seconds_sum")
    assert all(part is not None and part >= 0 for part in sums)
    assert sum(part or 0 for part in sums) == pytest.approx(whole)
    assert value(metrics, "kaiwa_request_rest_time_seconds_count") == 200


def test_whoever_asked_hears_of_the_end(metrics: Metrics) -> None:
    """Once per response, with numbers and no words."""
    heard: list[EndedResponse] = []
    metrics.on_response = heard.append
    watch = ResponseWatch(metrics, 1.0)
    watch.on_delta(delta(2), 1.5)
    watch.on_delta(delta(1, FinishReason.LENGTH, num_prompt_tokens=5, num_output_tokens=3), 2.0)
    (ended,) = heard
    assert (ended.finish_reason, ended.num_prompt_tokens, ended.num_output_tokens) == (
        "length",
        5,
        3,
    )
    assert (ended.times.ttft_s, ended.times.e2e_s) == (0.5, 1.0)
