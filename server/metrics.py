"""Counts and times, under the names the field knows; no label ever names a session.

``Metrics`` is the registry that ``/metrics`` prints. ``ResponseWatch`` follows one response from
submission to its end, feeds the histograms and can say it all in one line.
"""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from engine.outputs import EngineInfo, RequestDelta, StepStats
from engine.request import FinishReason

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_TTFT = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10, 40, 160)
_ITL = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)
_E2E = (0.1, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960)
_STEP = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LAG = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 20)
_TOKENS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_BYTES = (0, 1024, 4096, 16384, 32768, 65536, 131072, 262144, 1048576)
_SESSION = (1, 10, 60, 300, 900, 1800, 3600, 7200)
_MAX_GAPS = 4096
_TELL_TOKENS_EVERY = 16  # a counter's lock per token is a tenth of the whole fan-out

disable_created_metrics()  # type: ignore[no-untyped-call]  # lines that nobody reads


class Metrics:
    """Every number that is kept, in a registry of its own."""

    def __init__(self) -> None:
        """Register them all."""
        registry = self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"kaiwa_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"kaiwa_{name}", text, registry=registry)

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
        self.engine_restarts = counter("engine_restarts", "Times the engine was started anew.")
        self.ttft = histogram("time_to_first_token_seconds", "Submission to first token.", _TTFT)
        self.itl = histogram("inter_token_latency_seconds", "Between two deltas, per token.", _ITL)
        self.e2e = histogram("e2e_request_latency_seconds", "Submission to the end.", _E2E)
        self.queue_time = histogram("request_queue_time_seconds", "Waiting to be scheduled.", _TTFT)
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
        self.barge_in = histogram("barge_in_cancel_seconds", "Cancel to the terminal delta.", _ITL)
        self.loop_lag = histogram("event_loop_lag_seconds", "How late the event loop is.", _LAG)

    def describe_engine(self, info: EngineInfo) -> None:
        """Learn what a KV block weighs."""
        self._bytes_per_block = info.block_size * info.kv_bytes_per_token
        self.kv_total_bytes.set(info.num_blocks * self._bytes_per_block)

    def on_step(self, stats: StepStats) -> None:
        """Take in one engine step; made to be a step listener.

        Stats of no duration and no batch only say how things stand after everything was aborted;
        there was no step to be measured.
        """
        self.num_requests_running.set(stats.num_running)
        self.num_requests_waiting.set(stats.num_waiting)
        if stats.kv_blocks_total:
            self.kv_cache_usage.set(stats.kv_blocks_used / stats.kv_blocks_total)
        self.kv_used_bytes.set(stats.kv_blocks_used * self._bytes_per_block)
        if stats.num_preempted:
            self.preemptions.inc(stats.num_preempted)
        if stats.duration_s or stats.batch:
            self.step_seconds.observe(stats.duration_s)
            self.step_tokens.observe(stats.prefill_tokens + stats.decode_tokens)

    def expose(self) -> bytes:
        """Everything, in the text format that Prometheus reads (``CONTENT_TYPE``)."""
        return generate_latest(self.registry)


class ResponseWatch:
    """Follows one response and tells the metrics about it.

    Attributes:
        finish_reason: Set by the terminal delta.
    """

    __slots__ = (
        "_cancelled_at",
        "_first_at",
        "_gaps",
        "_last",
        "_last_at",
        "_metrics",
        "_num_tokens",
        "_submitted_at",
        "_untold_tokens",
        "finish_reason",
    )

    def __init__(self, metrics: Metrics, now: float) -> None:
        """Start the clock at submission."""
        self._metrics = metrics
        self._submitted_at = now
        self._first_at: float | None = None
        self._last_at = now
        self._cancelled_at: float | None = None
        self._gaps: list[float] = []
        self._last: RequestDelta | None = None
        self._num_tokens = 0
        self._untold_tokens = 0
        self.finish_reason: FinishReason | None = None

    def cancelled(self, now: float) -> None:
        """The client called it off; how long does the engine take to obey?"""
        if self._cancelled_at is None and self.finish_reason is None:
            self._cancelled_at = now

    def on_delta(self, delta: RequestDelta, now: float) -> None:
        """Take in what one step brought."""
        if delta.token_ids:
            self._on_tokens(len(delta.token_ids), now)
        self._last = delta
        if delta.finish_reason is not None:
            self._on_end(delta, delta.finish_reason, now)

    def _on_tokens(self, count: int, now: float) -> None:
        self._num_tokens += count
        self._untold_tokens += count
        if self._untold_tokens >= _TELL_TOKENS_EVERY:
            self._tell_tokens()
        if self._first_at is None:
            self._first_at = now
            self._metrics.ttft.observe(now - self._submitted_at)
        else:
            gap = (now - self._last_at) / count
            self._metrics.itl.observe(gap)
            if len(self._gaps) < _MAX_GAPS:
                self._gaps.append(gap)
        self._last_at = now

    def _tell_tokens(self) -> None:
        self._metrics.generation_tokens.inc(self._untold_tokens)
        self._untold_tokens = 0

    def _on_end(self, delta: RequestDelta, reason: FinishReason, now: float) -> None:
        self.finish_reason = reason
        metrics = self._metrics
        self._tell_tokens()
        is_whole = reason in (FinishReason.STOP, FinishReason.LENGTH)
        ended = metrics.successes if is_whole else metrics.unfinished
        ended.labels(reason.value).inc()
        metrics.e2e.observe(now - self._submitted_at)
        if self._num_tokens or delta.num_prompt_tokens:
            metrics.queue_time.observe(delta.queue_s)
            metrics.prompt_tokens.inc(delta.num_prompt_tokens)
            metrics.cache_queries.inc(delta.num_prompt_tokens)
            metrics.cache_hits.inc(delta.num_cached_tokens)
        if reason is FinishReason.ERROR:
            metrics.rejections.labels(delta.error_code or "unknown").inc()
        if self._cancelled_at is not None:
            metrics.barge_in.observe(now - self._cancelled_at)
        self._last_at = now

    def summary(self) -> dict[str, str | int | float | None]:
        """The canonical line's numbers; times in milliseconds, no words anybody said."""
        last = self._last
        ttft = None if self._first_at is None else self._first_at - self._submitted_at
        gaps = sorted(self._gaps)
        p95 = gaps[min(len(gaps) - 1, int(len(gaps) * 0.95))] if gaps else None
        return {
            "finish_reason": None if self.finish_reason is None else self.finish_reason.value,
            "prompt_tokens": 0 if last is None else last.num_prompt_tokens,
            "cached_tokens": 0 if last is None else last.num_cached_tokens,
            "output_tokens": 0 if last is None else last.num_output_tokens,
            "queue_ms": _ms(None if last is None else last.queue_s),
            "ttft_ms": _ms(ttft),
            "itl_p95_ms": _ms(p95),
            "e2e_ms": _ms(self._last_at - self._submitted_at),
            "error_code": None if last is None else last.error_code,
        }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
