"""What the server is started with: one small configuration per room, composed."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.config import EngineConfig
from server.config.access import AuthConfig, ListenConfig
from server.config.characters import CharactersConfig
from server.config.conversations import HistoryConfig, MemoryConfig
from server.config.limits import LimitsConfig
from server.config.recording import RecordConfig
from server.config.sockets import DrainConfig, OutboxConfig, PacingConfig, ResumeConfig
from server.config.telemetry import LogConfig, MetricsConfig, TracingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The whole of it."""

    engine: EngineConfig
    listen: ListenConfig = field(default_factory=ListenConfig)
    auth: AuthConfig = field(default_factory=AuthConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    history: HistoryConfig = field(default_factory=HistoryConfig)
    resume: ResumeConfig = field(default_factory=ResumeConfig)
    pacing: PacingConfig = field(default_factory=PacingConfig)
    outbox: OutboxConfig = field(default_factory=OutboxConfig)
    drain: DrainConfig = field(default_factory=DrainConfig)
    log: LogConfig = field(default_factory=LogConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    tracing: TracingConfig = field(default_factory=TracingConfig)
    record: RecordConfig = field(default_factory=RecordConfig)
    characters: CharactersConfig = field(default_factory=CharactersConfig)
