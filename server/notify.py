"""Tells systemd how the service does: ready, stopping, still alive.

The protocol is one datagram of ``NAME=VALUE`` lines to the Unix socket that ``NOTIFY_SOCKET``
names, by path or, where it begins with ``@``, in the abstract namespace. Without that variable
nobody listens, and nothing is sent. Source: sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

_MICROSECONDS = 1e6


class Notifier:
    """One service's line to systemd.

    Attributes:
        watchdog_s: Seconds within which ``alive`` has to be told again and again, or the service
            is killed; ``None`` when nobody watches.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """Find out who listens.

        Args:
            environment: With ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``;
                ``os.environ`` when left out.
        """
        environment = os.environ if environment is None else environment
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self.watchdog_s = _watchdog_s(environment) if self._address else None

    @property
    def is_heard(self) -> bool:
        """Whether there is anybody to tell."""
        return self._address is not None

    def ready(self, status: str) -> bool:
        """The service can answer."""
        return self._send(f"READY=1\nSTATUS={_line(status)}")

    def stopping(self, status: str) -> bool:
        """The service has begun to stop."""
        return self._send(f"STOPPING=1\nSTATUS={_line(status)}")

    def alive(self, status: str) -> bool:
        """The service makes progress; feeds the watchdog."""
        return self._send(f"WATCHDOG=1\nSTATUS={_line(status)}")

    def status(self, status: str) -> bool:
        """One line for ``systemctl status``."""
        return self._send(f"STATUS={_line(status)}")

    def _send(self, message: str) -> bool:
        """Send it, or let it be: a service must not fail for want of a listener.

        Returns:
            Whether it went out.
        """
        if self._address is None:
            return False
        with contextlib.suppress(OSError):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.setblocking(False)
                line.connect(self._address)
                line.send(message.encode())
            return True
        return False


class Watchdog:
    """Feeds systemd's watchdog four times in each of its periods, while there is progress."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._due = float("-inf")

    def look(self, now: float, status: str, *, makes_progress: bool) -> None:
        """Tell how things stand, if it is time to.

        Args:
            now: Seconds.
            status: For people.
            makes_progress: Whether work that there is gets done; without, the service is killed
                when the period is over.
        """
        period = self._notifier.watchdog_s
        if period is None or now < self._due:
            return
        self._due = now + period / 4
        tell = self._notifier.alive if makes_progress else self._notifier.status
        tell(status)


def _address(name: str) -> str | None:
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else None


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    pid = environment.get("WATCHDOG_PID", "")
    if pid and pid != str(os.getpid()):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / _MICROSECONDS if microseconds.isdecimal() else None


def _line(text: str) -> str:
    return " ".join(text.split())
