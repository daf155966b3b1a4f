"""vLLM's names beside ours."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from engine.request import FinishReason
from server.config.telemetry import MetricsConfig
from server.metrics import Metrics
from server.vllm_names import VLLM_NAMES
from tests.support.fake_engine import FakeEngine


def exposed() -> dict[str, dict[tuple[str, ...], float]]:
    """What a scraper reads: by sample name, values by sorted label values."""
    metrics = Metrics(MetricsConfig(compat="vllm"))
    metrics.describe_engine(FakeEngine().info)
    metrics.successes.labels(FinishReason.STOP.value).inc(3)
    metrics.unfinished.labels(FinishReason.ABORT.value).inc()
    metrics.ttft.observe(0.3)
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(metrics.expose().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.values()))] = sample.value
    return found


def test_each_of_our_names_exists() -> None:
    """The table names nothing that is not counted."""
    ours = {family.name for family in Metrics().registry.collect()}
    assert set(VLLM_NAMES) <= ours


def test_histograms_keep_their_buckets() -> None:
    """Every sample of a family is renamed, with the model as one more label."""
    found = exposed()
    assert found["vllm:time_to_first_token_seconds_count"] == {("fake",): 1}
    assert found["vllm:time_to_first_token_seconds_bucket"][("+Inf", "fake")] == 1


def test_their_ends_are_all_ends() -> None:
    """What we count apart is one counter there."""
    ends = exposed()["vllm:request_success_total"]
    assert ends == {("fake", "stop"): 3, ("abort", "fake"): 1}
