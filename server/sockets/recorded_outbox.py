"""The outbox of a session that is recorded; who is not recorded has the plain one."""

from __future__ import annotations

from collections.abc import Callable

from server.config.sockets import OutboxConfig
from server.metrics import Metrics
from server.protocol.server_events import ServerEvent
from server.recording.writer import Recording
from server.resume.journal import Journal
from server.sockets.outbox import Outbox


class RecordedOutbox(Outbox[ServerEvent]):
    """Notes each event as it comes in, whether it leaves now or waits for a slow reader."""

    def __init__(
        self,
        recording: Recording,
        journal: Journal[ServerEvent],
        config: OutboxConfig,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        """Start without a socket.

        Args:
            recording: Told of every event.
            journal: As for ``Outbox``, and so is the rest.
            config: Water marks and timeouts.
            metrics: Told of evictions and merged deltas.
            clock: Seconds on any steady clock.
        """
        super().__init__(journal, config, metrics, clock)
        self._recording = recording
        self._now = clock

    def push(self, event: ServerEvent) -> None:
        """Note an event, then send or keep it."""
        self._recording.sent(event, self._now())
        super().push(event)
