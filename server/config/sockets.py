"""Settings of sockets: how fast they are written to, how they come back, and how they end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from server.config.checks import within


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeConfig:
    """What a client finds that comes back over another socket."""

    window_s: float = 120.0
    """Seconds that a session waits for its client; 0 ends it with its socket."""
    detach_grace_s: float = 60.0
    """Seconds that replies go on for a client that is gone; then they are kept as incomplete."""
    max_told_bytes: int = 256 * 1024
    """Of one session's events that were written, and may have been lost with a socket."""
    max_parked: int = 4096
    """Sessions that wait; whoever has the most of them gives the oldest one up."""

    def __post_init__(self) -> None:
        """Refuse negative numbers."""
        within("resume.window_s", self.window_s, 0, 24 * 3600)
        within("resume.detach_grace_s", self.detach_grace_s, 0, 24 * 3600)
        within("resume.max_told_bytes", self.max_told_bytes, 1024, 2**30)
        within("resume.max_parked", self.max_parked, 0, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class PacingConfig:
    """How fast replies are taken in where a client does not say."""

    listener: Literal["reading", "speech", "none"] = "reading"
    """What WebSocket sessions are; ``none`` sends every token as soon as it can be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxConfig:
    """How far a slow reader may fall behind."""

    high_water_bytes: int = 16 * 1024
    """Bytes in the transport's buffer above which text is kept and merged."""
    low_water_bytes: int = 4 * 1024
    """Bytes in the transport's buffer at which kept events flow again."""
    stall_timeout_s: float = 10.0
    """Seconds without a byte of progress before the socket is cut off."""
    max_kept_bytes: int = 1024 * 1024
    """Bytes of kept events, estimated, before the socket is cut off."""
    send_buffer_bytes: int = 128 * 1024
    """The kernel's send buffer per WebSocket; small, so that a stall shows in seconds."""
    watch_interval_s: float = 0.5
    """Seconds between two looks at the progress of all sockets."""

    def __post_init__(self) -> None:
        """Refuse water marks in the wrong order."""
        within("outbox.high_water_bytes", self.high_water_bytes, 1, 2**30)
        within("outbox.low_water_bytes", self.low_water_bytes, 0, self.high_water_bytes)
        within("outbox.stall_timeout_s", self.stall_timeout_s, 0.05, 3600)
        within("outbox.max_kept_bytes", self.max_kept_bytes, 1024, 2**30)
        within("outbox.send_buffer_bytes", self.send_buffer_bytes, 4096, 2**30)
        within("outbox.watch_interval_s", self.watch_interval_s, 0.01, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainConfig:
    """How the server stops."""

    timeout_s: float = 30.0
    """Seconds that running responses get to finish after SIGTERM."""
    close_timeout_s: float = 2.0
    """Seconds for the closing handshakes; whoever is still there then is cut off."""

    def __post_init__(self) -> None:
        """Refuse negative times."""
        within("drain.timeout_s", self.timeout_s, 0, 24 * 3600)
        within("drain.close_timeout_s", self.close_timeout_s, 0.01, 600)
