"""Settings of what is told to operators: log, metrics, traces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What is told while it runs; never what people say."""

    format: Literal["text", "json"] = "text"
    """``json`` writes one object per line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """What ``/metrics`` prints."""

    compat: Literal["none", "vllm"] = "none"
    """``vllm`` prints the numbers that vLLM has too under its names, beside ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingConfig:
    """Spans of replies for OpenTelemetry; numbers only, no words."""

    otlp_endpoint: str = ""
    """Where spans are sent, ``http://collector:4318/v1/traces``; empty sends none."""
    service_name: str = "kaiwa"
    """What this server is called there."""

    def __post_init__(self) -> None:
        """Refuse addresses that cannot be sent to."""
        scheme, separator, rest = self.otlp_endpoint.partition("://")
        if self.otlp_endpoint and (scheme not in ("http", "https") or not separator or not rest):
            raise ConfigError(
                f"tracing.otlp_endpoint is {self.otlp_endpoint!r}; it must be http://HOST:PORT/PATH",
                param="tracing.otlp_endpoint",
            )
        if not self.service_name:
            raise ConfigError("tracing.service_name is empty", param="tracing.service_name")
