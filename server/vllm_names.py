"""vLLM's metric names beside ours, for dashboards and autoscalers that were made for it.

A number that both have is printed a second time under vLLM's name, with its ``model_name`` label.
The Kubernetes gateway for inference reads three of them: running, waiting and KV usage.
Source: https://docs.vllm.ai/en/stable/design/metrics (V1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

VLLM_NAMES = {
    "kaiwa_num_requests_running": "vllm:num_requests_running",
    "kaiwa_num_requests_waiting": "vllm:num_requests_waiting",
    "kaiwa_kv_cache_usage_ratio": "vllm:kv_cache_usage_perc",
    "kaiwa_prefix_cache_queries": "vllm:prefix_cache_queries",
    "kaiwa_prefix_cache_hits": "vllm:prefix_cache_hits",
    "kaiwa_prompt_tokens": "vllm:prompt_tokens",
    "kaiwa_generation_tokens": "vllm:generation_tokens",
    "kaiwa_num_preemptions": "vllm:num_preemptions",
    "kaiwa_request_success": "vllm:request_success",
    "kaiwa_request_unfinished": "vllm:request_success",
    "kaiwa_time_to_first_token_seconds": "vllm:time_to_first_token_seconds",
    "kaiwa_inter_token_latency_seconds": "vllm:inter_token_latency_seconds",
    "kaiwa_e2e_request_latency_seconds": "vllm:e2e_request_latency_seconds",
    "kaiwa_request_queue_time_seconds": "vllm:request_queue_time_seconds",
    "kaiwa_request_prefill_time_seconds": "vllm:request_prefill_time_seconds",
    "kaiwa_request_decode_time_seconds": "vllm:request_decode_time_seconds",
    "kaiwa_request_inference_time_seconds": "vllm:request_inference_time_seconds",
    "kaiwa_request_prompt_tokens": "vllm:request_prompt_tokens",
    "kaiwa_request_generation_tokens": "vllm:request_generation_tokens",
    "kaiwa_iteration_tokens": "vllm:iteration_tokens_total",
}
"""Ours to theirs, without the ``_total`` of counters. Their ``request_success`` counts any end."""


class WithVllmNames:
    """A registry as Prometheus reads it, with the second names behind the first."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        """All of ours, then theirs."""
        families = list(self._registry.collect())
        yield from families
        yield from _renamed(families)


def _renamed(families: list[Metric]) -> Iterator[Metric]:
    model = _model_name(families)
    theirs: dict[str, Metric] = {}
    for family in families:
        name = VLLM_NAMES.get(family.name)
        if name is None:
            continue
        if name not in theirs:
            theirs[name] = Metric(name, family.documentation, family.type)
        for sample in family.samples:
            suffix = sample.name.removeprefix(family.name)
            labels = {"model_name": model, **sample.labels}
            theirs[name].samples.append(Sample(name + suffix, labels, sample.value))
    yield from theirs.values()


def _model_name(families: list[Metric]) -> str:
    for family in families:
        if family.name == "kaiwa_engine_info" and family.samples:
            return family.samples[0].labels["model"]
    return ""
