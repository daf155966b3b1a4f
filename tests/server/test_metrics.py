"""What is counted."""

from __future__ import annotations

import msgspec
import pytest

from engine.outputs import EngineNews, EngineStatus, LossCause, StepStats
from server.config.telemetry import MetricsConfig
from server.metrics import Metrics
from tests.support.fake_engine import FakeEngine


@pytest.fixture
def metrics() -> Metrics:
    """A registry of its own."""
    return Metrics()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """A sample's value."""
    return metrics.registry.get_sample_value(name, labels)


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


def test_every_name_carries_the_prefix(metrics: Metrics) -> None:
    """And no label could hold a session's name."""
    allowed = {"le", "reason", "code", "result", "finished_reason", "model", "dtype"}
    for family in metrics.registry.collect():
        assert family.name.startswith(("kaiwa_", "process_"))
        for sample in family.samples:
            assert set(sample.labels) <= allowed


def test_registries_do_not_share(metrics: Metrics) -> None:
    """Two servers in one process count apart."""
    metrics.underruns.inc()
    assert value(Metrics(), "kaiwa_playback_underruns_total") == 0
    assert b"kaiwa_playback_underruns_total 1.0" in metrics.expose()


def test_listeners_that_ran_dry_are_counted(metrics: Metrics) -> None:
    """So are those that could wait, and what a preemption cost."""
    metrics.on_step(step(num_underruns=2, num_skipped=5, num_recomputed=70))
    assert value(metrics, "kaiwa_playback_underruns_total") == 2
    assert value(metrics, "kaiwa_playback_skips_total") == 5
    assert value(metrics, "kaiwa_recomputed_tokens_total") == 70


def test_other_names_stand_beside_ours_where_asked_for() -> None:
    """And nowhere else."""
    assert b"vllm:" not in Metrics().expose()
    metrics = Metrics(MetricsConfig(compat="vllm"))
    metrics.describe_engine(FakeEngine().info)
    metrics.on_step(step())
    text = metrics.expose()
    assert b"kaiwa_num_requests_running 3.0" in text
    assert b'vllm:num_requests_running{model_name="fake"} 3.0' in text


def test_writes_are_timed_or_counted_as_failures(metrics: Metrics) -> None:
    """How long a failure took would say nothing of the disk."""
    metrics.on_store_write(0.25, failed=False)
    metrics.on_store_write(9.0, failed=True)
    assert value(metrics, "kaiwa_store_commit_seconds_sum") == 0.25
    assert value(metrics, "kaiwa_store_failures_total") == 1


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
