"""A span per reply for OpenTelemetry: how long, how many tokens, how it ended; no words.

Off unless ``tracing.otlp_endpoint`` is set; only then is OpenTelemetry imported (``kaiwa[otel]``).
Names follow the conventions for generative AI, which are still in development:
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/. Of the times, those that have no
name there are called ``kaiwa.…``; all are seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.errors import ConfigError
from server.config.telemetry import TracingConfig
from server.response_times import EndedResponse
from server.version import version

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer
    from opentelemetry.util.types import AttributeValue

EXPORT_TIMEOUT_S = 3
"""For one batch of spans; what a collector does not take in time is lost."""

_NS = 1_000_000_000


class ResponseTracer:
    """Makes a span of each reply that has ended."""

    def __init__(
        self, tracer: Tracer, model: str, *, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """Start with none.

        Args:
            tracer: OpenTelemetry's.
            model: Who replies.
            clock_ns: Nanoseconds since 1970, when a reply has just ended.
        """
        self._tracer = tracer
        self._model = model
        self._clock_ns = clock_ns

    def __call__(self, ended: EndedResponse) -> None:
        """Write down one reply; made to be ``Metrics.on_response``."""
        from opentelemetry.trace import SpanKind, Status, StatusCode

        end_ns = self._clock_ns()
        span = self._tracer.start_span(
            f"chat {self._model}",
            kind=SpanKind.SERVER,
            start_time=end_ns - round(ended.times.e2e_s * _NS),
            attributes=_attributes(ended, self._model),
        )
        if ended.finish_reason == "error":
            span.set_status(Status(StatusCode.ERROR, ended.error_code))
        span.end(end_ns)


class Tracing:
    """The tracer and what it takes to send its spans."""

    def __init__(self, provider: TracerProvider, model: str) -> None:
        self._provider = provider
        self.tracer = ResponseTracer(provider.get_tracer("kaiwa", version()), model)

    def close(self) -> None:
        """Send what is left, for at most ``EXPORT_TIMEOUT_S``; blocks."""
        self._provider.shutdown()


def start_tracing(config: TracingConfig, model: str) -> Tracing | None:
    """Set up what the settings ask for; spans are sent by a thread of their own.

    Returns:
        ``None`` when they ask for nothing.

    Raises:
        ConfigError: OpenTelemetry is not installed.
    """
    if not config.otlp_endpoint:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigError(
            "tracing.otlp_endpoint is set, but OpenTelemetry is not installed; "
            "pip install 'kaiwa[otel]' brings it",
            param="tracing.otlp_endpoint",
        ) from None
    names = {"service.name": config.service_name, "service.version": version()}
    provider = TracerProvider(resource=Resource.create(names), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=config.otlp_endpoint, timeout=EXPORT_TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider, model)


def _attributes(ended: EndedResponse, model: str) -> dict[str, AttributeValue]:
    times = ended.times
    told: dict[str, AttributeValue] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "kaiwa",
        "gen_ai.request.model": model,
        "gen_ai.response.model": model,
        "gen_ai.output.type": "text",
        "gen_ai.response.finish_reasons": [ended.finish_reason],
        "gen_ai.usage.input_tokens": ended.num_prompt_tokens,
        "gen_ai.usage.output_tokens": ended.num_output_tokens,
        "gen_ai.usage.cache_read.input_tokens": ended.num_cached_tokens,
        "kaiwa.queue_time": times.queue_s,
        "kaiwa.prefill_time": times.prefill_s,
        "kaiwa.decode_time": times.decode_s,
    }
    if times.ttft_s is not None:
        told["gen_ai.response.time_to_first_chunk"] = times.ttft_s
        told["gen_ai.server.time_to_first_token"] = times.ttft_s  # the metric's name
        if ended.num_output_tokens > 1:
            per_token = times.decode_s / (ended.num_output_tokens - 1)
            told["gen_ai.server.time_per_output_token"] = per_token
    if ended.error_code is not None:
        told["error.type"] = ended.error_code
    return told
