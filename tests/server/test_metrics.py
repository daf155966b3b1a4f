"""What is counted, and the line that sums a response up."""

from __future__ import annotations

import msgspec
import pytest

from engine.outputs import EngineNews, EngineStatus, LossCause, RequestDelta, StepStats
from engine.request import FinishReason
from server.metrics import Metrics, ResponseWatch
from tests.support.fake_engine import FakeEngine


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


def step(**changes: object) -> StepStats:
    """One step's numbers."""
    stats = StepStats(
        step=1,
        time_s=1.0,
        duration_s=0.02,
        num_running=3,
        num_waiting=2,
        prefill_tokens=10,
        decode_tokens=3,
        joined=[],
        left=[],
        kv_blocks_used=25,
        kv_blocks_cached=5,
        kv_blocks_total=100,
        batch=[],
        num_preempted=1,
    )
    return msgspec.structs.replace(stats, **changes)


def test_steps_feed_the_gauges(metrics: Metrics) -> None:
    """Running, waiting and KV usage are as of the last step."""
    metrics.on_step(step())
    assert value(metrics, "kaiwa_num_requests_running") == 3
    assert value(metrics, "kaiwa_num_requests_waiting") == 2
    assert value(metrics, "kaiwa_kv_cache_usage_ratio") == 0.25
    assert value(metrics, "kaiwa_num_preemptions_total") == 1
    assert value(metrics, "kaiwa_engine_step_seconds_sum") == pytest.approx(0.02)


def test_memory_is_told_in_bytes(metrics: Metrics) -> None:
    """Blocks are weighed as the engine says."""
    metrics.describe_engine(FakeEngine().info)
    metrics.on_step(step())
    assert value(metrics, "kaiwa_kv_cache_used_bytes") == 25 * 16
    assert value(metrics, "kaiwa_kv_cache_total_bytes") == 1024 * 16


def test_news_without_a_step_only_moves_the_gauges(metrics: Metrics) -> None:
    """After everything was aborted nothing is held, and no step is counted."""
    metrics.on_step(step())
    none = {"prefill_tokens": 0, "decode_tokens": 0, "kv_blocks_used": 0}
    metrics.on_step(step(duration_s=0.0, num_running=0, num_waiting=0, num_preempted=0, **none))
    assert value(metrics, "kaiwa_num_requests_running") == 0
    assert value(metrics, "kaiwa_kv_cache_usage_ratio") == 0
    assert value(metrics, "kaiwa_engine_step_seconds_count") == 1
    assert value(metrics, "kaiwa_iteration_tokens_count") == 1


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


def test_every_name_carries_the_prefix(metrics: Metrics) -> None:
    """And no label could hold a session's name."""
    for family in metrics.registry.collect():
        assert family.name.startswith("kaiwa_")
        for sample in family.samples:
            assert set(sample.labels) <= {"le", "reason", "code", "result", "finished_reason"}


def test_registries_do_not_share(metrics: Metrics) -> None:
    """Two servers in one process count apart."""
    metrics.preemptions.inc()
    assert value(Metrics(), "kaiwa_num_preemptions_total") == 0
    assert b"kaiwa_num_preemptions_total 1.0" in metrics.expose()


def test_a_lost_engine_is_counted_by_cause_and_its_recovery_timed(metrics: Metrics) -> None:
    """Meanwhile nothing runs and no memory is held."""
    metrics.num_requests_running.set(5)
    metrics.kv_cache_usage.set(0.5)
    metrics.on_engine_news(EngineNews(EngineStatus.RECOVERING, LossCause.HUNG))
    assert b'kaiwa_engine_restarts_total{reason="hung"} 1.0' in metrics.expose()
    assert value(metrics, "kaiwa_num_requests_running") == 0
    assert value(metrics, "kaiwa_kv_cache_usage_ratio") == 0
    metrics.on_engine_news(EngineNews(EngineStatus.READY, LossCause.HUNG, 4.0))
    assert value(metrics, "kaiwa_engine_recovery_seconds_sum") == 4.0
