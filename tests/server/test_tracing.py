"""Spans of replies."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from engine.errors import ConfigError
from engine.outputs import RequestDelta
from engine.request import FinishReason
from server.config.telemetry import TracingConfig
from server.metrics import Metrics
from server.response_watch import ResponseWatch
from server.tracing import ResponseTracer, start_tracing

SECOND = 1_000_000_000


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """Holds what was exported."""
    return InMemorySpanExporter()


@pytest.fixture
def metrics(spans: InMemorySpanExporter) -> Metrics:
    """Tells a tracer of each reply; the clock stands at 1,000 s."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    metrics = Metrics()
    tracer = provider.get_tracer("test")
    metrics.on_response = ResponseTracer(tracer, "tiny", clock_ns=lambda: 1000 * SECOND)
    return metrics


def delta(
    text: str, count: int, reason: FinishReason | None = None, **more: object
) -> RequestDelta:
    """What one step brought."""
    return RequestDelta("r", text, [1] * count, reason, **more)  # type: ignore[arg-type]


def test_a_reply_is_one_span(metrics: Metrics, spans: InMemorySpanExporter) -> None:
    """With the convention's names, and its times in their place."""
    watch = ResponseWatch(metrics, 10.0)
    watch.on_delta(delta("Hello", 1), 10.5)
    end = delta(
        " there.",
        4,
        FinishReason.STOP,
        num_prompt_tokens=100,
        num_cached_tokens=64,
        num_output_tokens=5,
        queue_s=0.25,
    )
    watch.on_delta(end, 12.5)
    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind) == ("chat tiny", SpanKind.SERVER)
    assert (span.start_time, span.end_time) == (997_500_000_000, 1000 * SECOND)
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "kaiwa",
        "gen_ai.request.model": "tiny",
        "gen_ai.response.model": "tiny",
        "gen_ai.output.type": "text",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 64,
        "gen_ai.response.time_to_first_chunk": 0.5,
        "gen_ai.server.time_to_first_token": 0.5,
        "gen_ai.server.time_per_output_token": 0.5,
        "kaiwa.queue_time": 0.25,
        "kaiwa.prefill_time": 0.25,
        "kaiwa.decode_time": 2.0,
    }


def test_a_failure_is_an_error(metrics: Metrics, spans: InMemorySpanExporter) -> None:
    """By its code, without its sentence."""
    watch = ResponseWatch(metrics, 10.0)
    words = "a sentence about the prompt"
    end = delta("", 0, FinishReason.ERROR, error_code="queue_full", error_message=words)
    watch.on_delta(end, 10.5)
    (span,) = spans.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "queue_full")
    assert (span.attributes or {})["error.type"] == "queue_full"
    assert words not in span.to_json()


def test_a_barge_in_is_no_error(metrics: Metrics, spans: InMemorySpanExporter) -> None:
    """Calling a reply off is what users do."""
    ResponseWatch(metrics, 1.0).on_delta(delta("", 0, FinishReason.ABORT), 2.0)
    (span,) = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.UNSET


def test_nothing_is_set_up_unless_asked_for() -> None:
    """No endpoint, no tracing."""
    assert start_tracing(TracingConfig(), "tiny") is None


def test_a_missing_extra_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that brings it."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    config = TracingConfig(otlp_endpoint="http://localhost:1/v1/traces")
    with pytest.raises(ConfigError, match=r"kaiwa\[otel\]"):
        start_tracing(config, "tiny")


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Takes spans over HTTP: its address, and what came."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", bodies
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_spans_reach_a_collector(collector: tuple[str, list[bytes]]) -> None:
    """Over OTLP, at the latest when tracing ends."""
    url, bodies = collector
    tracing = start_tracing(TracingConfig(otlp_endpoint=url, service_name="theatre"), "tiny")
    assert tracing is not None
    metrics = Metrics()
    metrics.on_response = tracing.tracer
    watch = ResponseWatch(metrics, 1.0)
    watch.on_delta(delta("SAID", 1, FinishReason.STOP, num_output_tokens=1), 2.0)
    tracing.close()
    (body,) = bodies
    assert b"theatre" in body
    assert b"chat tiny" in body
    assert b"SAID" not in body


@pytest.mark.slow
def test_the_server_alone_imports_none_of_it() -> None:
    """A start without tracing pays nothing."""
    code = "import sys, server.app, server.tracing; print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
