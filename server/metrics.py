"""Counts and times, under the names the field knows; no label ever names a session.

``Metrics`` is the registry that ``/metrics`` prints; ``server.response_watch`` feeds it what
becomes of each response. Names and meanings follow vLLM's where it has them, with our prefix;
``server.vllm_names`` prints its names beside ours where the settings ask for it. How the process
does (memory, processor time, open files) stands under the names that every Prometheus client gives.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from engine.outputs import EngineInfo, EngineNews, EngineStatus, StepStats
from server.config.telemetry import MetricsConfig
from server.quick_histogram import QuickHistogram
from server.response_times import EndedResponse
from server.vllm_names import WithVllmNames

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_TTFT = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10, 40, 160)
_ITL = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)
_E2E = (0.1, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960)
_STEP = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LAG = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 20)
_TOKENS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_BYTES = (0, 1024, 4096, 16384, 32768, 65536, 131072, 262144, 1048576)
_RECOVERY = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
_SESSION = (1, 10, 60, 300, 900, 1800, 3600, 7200)
_COMMIT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

disable_created_metrics()  # type: ignore[no-untyped-call]  # lines that nobody reads


class Metrics:
    """Every number that is kept, in a registry of its own.

    Attributes:
        on_response: Told of each response when it is over; for traces.
        num_waiting: Requests in the engine's queue, as of its last step.
    """

    on_response: Callable[[EndedResponse], None] | None = None
    num_waiting = 0

    def __init__(self, config: MetricsConfig | None = None) -> None:
        """Register them all.

        Args:
            config: Which names are printed beside our own.
        """
        self._compat = (config or MetricsConfig()).compat
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"kaiwa_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"kaiwa_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"kaiwa_{name}", text, buckets=buckets, registry=registry)

        self.num_requests_running = gauge("num_requests_running", "Sequences in the batch.")
        self.num_requests_waiting = gauge("num_requests_waiting", "Requests in the queue.")
        self.kv_cache_usage = gauge("kv_cache_usage_ratio", "Share of KV blocks held; 1 is full.")
        self.kv_used_bytes = gauge("kv_cache_used_bytes", "Bytes of KV blocks held.")
        self.kv_total_bytes = gauge("kv_cache_total_bytes", "Bytes of all KV blocks.")
        self._bytes_per_block = 0
        self.prompt_tokens = counter("prompt_tokens", "Prompt tokens of ended requests.")
        self.generation_tokens = counter("generation_tokens", "Sampled tokens.")
        self.cache_queries = counter("prefix_cache_queries", "Prompt tokens looked up.")
        self.cache_hits = counter("prefix_cache_hits", "Prompt tokens found in the prefix cache.")
        self.preemptions = counter("num_preemptions", "Requests that lost their blocks.")
        self.successes = counter("request_success", "Whole replies.", "finished_reason")
        self.unfinished = counter("request_unfinished", "Replies cut short.", "finished_reason")
        self.rejections = counter("admission_rejections", "Refused requests.", "reason")
        self.rerenders = counter("prompt_rerenders", "Turns that were not appended.", "reason")
        self.ready = gauge("ready", "Whether /readyz says 200, when this was asked for.")
        self.engine_info = gauge("engine_info", "What is served; always 1.", "model", "dtype")
        self.engine_restarts = counter("engine_restarts", "Losses of the engine.", "reason")
        self.engine_recovery = histogram(
            "engine_recovery_seconds", "From losing the engine to being ready again.", _RECOVERY
        )
        self.engine_progress_age = gauge(
            "engine_progress_age_seconds", "Since the last step while requests are live."
        )
        self.ttft = histogram("time_to_first_token_seconds", "Submission to first token.", _TTFT)
        self.itl = QuickHistogram(
            "kaiwa_inter_token_latency_seconds", "Between two deltas, per token.", _ITL, registry
        )
        self.e2e = histogram("e2e_request_latency_seconds", "Submission to the end.", _E2E)
        self.queue_time = histogram("request_queue_time_seconds", "Waiting to be scheduled.", _TTFT)
        self.prefill_time = histogram("request_prefill_time_seconds", "To the first token.", _TTFT)
        self.decode_time = histogram("request_decode_time_seconds", "First to last token.", _E2E)
        self.inference_time = histogram("request_inference_time_seconds", "Both of them.", _E2E)
        self.rest_time = histogram("request_rest_time_seconds", "Last token to the end.", _TTFT)
        self.request_prompt_tokens = histogram(
            "request_prompt_tokens", "Prompt tokens of a request.", _TOKENS
        )
        self.request_generation_tokens = histogram(
            "request_generation_tokens", "Sampled tokens of a request.", _TOKENS
        )
        self.step_seconds = histogram("engine_step_seconds", "Length of one engine step.", _STEP)
        self.step_tokens = histogram("iteration_tokens", "New tokens of one step.", _TOKENS)
        self.ws_active = gauge("ws_connections_active", "Open WebSocket sessions.")
        self.ws_connections = counter("ws_connections", "WebSocket handshakes.", "result")
        self.ws_duration = histogram("ws_connection_duration_seconds", "Session life.", _SESSION)
        self.ws_closes = counter("ws_closes", "Ended WebSocket sessions.", "code")
        self.ws_evictions = counter("ws_evictions", "Sockets that were cut off.", "reason")
        self.ws_coalesced = counter("ws_coalesced_deltas", "Deltas merged for slow readers.")
        self.resumes = counter("resume", "Wishes to come back to a session.", "result")
        self.parked = gauge("sessions_parked", "Sessions that wait for their client.")
        self.ws_send_buffer = histogram("ws_send_buffer_bytes", "Unsent bytes per look.", _BYTES)
        self.underruns = counter("playback_underruns", "Tokens that listeners had to wait for.")
        self.skips = counter("playback_skips", "Steps sat out by streams ahead of listeners.")
        self.recomputed_tokens = counter("recomputed_tokens", "Computed again after preemption.")
        self.store_commit = histogram("store_commit_seconds", "Until a write was safe.", _COMMIT)
        self.store_failures = counter("store_failures", "Writes that could not be made safe.")
        self.recordings = counter("recordings", "Ended recordings of sessions.", "result")
        self.recorded_bytes = counter("recorded_bytes", "Written into wire logs.")
        self.barge_in = histogram("barge_in_cancel_seconds", "Cancel to the terminal delta.", _ITL)
        self.loop_lag = histogram("event_loop_lag_seconds", "How late the event loop is.", _LAG)

    def describe_engine(self, info: EngineInfo) -> None:
        """Learn what is served, and what a KV block of it weighs."""
        self._bytes_per_block = info.block_size * info.kv_bytes_per_token
        self.kv_total_bytes.set(info.num_blocks * self._bytes_per_block)
        self.engine_info.labels(Path(info.model.rstrip("/")).name, info.dtype).set(1)

    def on_step(self, stats: StepStats) -> None:
        """Take in one engine step; made to be a step listener.

        Stats of no duration and no batch only say how things stand after everything was aborted;
        there was no step to be measured.
        """
        self.num_requests_running.set(stats.num_running)
        self.num_requests_waiting.set(stats.num_waiting)
        self.num_waiting = stats.num_waiting
        if stats.kv_blocks_total:
            self.kv_cache_usage.set(stats.kv_blocks_used / stats.kv_blocks_total)
        self.kv_used_bytes.set(stats.kv_blocks_used * self._bytes_per_block)
        if stats.num_preempted:
            self.preemptions.inc(stats.num_preempted)
        if stats.num_underruns:
            self.underruns.inc(stats.num_underruns)
        if stats.num_skipped:
            self.skips.inc(stats.num_skipped)
        if stats.num_recomputed:
            self.recomputed_tokens.inc(stats.num_recomputed)
        if stats.duration_s or stats.batch:
            self.step_seconds.observe(stats.duration_s)
            self.step_tokens.observe(stats.prefill_tokens + stats.decode_tokens)

    def on_store_write(self, seconds: float, *, failed: bool) -> None:
        """Take in how long the store took to make a write safe, or to fail."""
        if failed:
            self.store_failures.inc()
        else:
            self.store_commit.observe(seconds)

    def on_engine_news(self, news: EngineNews) -> None:
        """Take in that the engine was lost or is back; made to be a status listener."""
        if news.status is EngineStatus.RECOVERING:
            self.num_waiting = 0
            self.num_requests_running.set(0)
            self.kv_cache_usage.set(0)
            self.kv_used_bytes.set(0)
            if news.cause is not None:
                self.engine_restarts.labels(news.cause.value).inc()
        elif news.status is EngineStatus.READY:
            self.engine_recovery.observe(news.recovery_s)

    def expose(self) -> bytes:
        """Everything, in the text format that Prometheus reads (``CONTENT_TYPE``)."""
        if self._compat == "vllm":
            return generate_latest(WithVllmNames(self.registry))
        return generate_latest(self.registry)
