"""How many TCP connections there are, in all, per address and without a request yet."""

from __future__ import annotations

import ipaddress
from asyncio import Transport
from collections import Counter

from server.config import LimitsConfig


class Ticket:
    """One TCP connection's place; whoever sees the connection end gives it back."""

    __slots__ = ("_limits", "address", "is_counted", "is_pending", "transport")

    def __init__(
        self, limits: AcceptLimits, transport: Transport, address: str, *, is_counted: bool
    ) -> None:
        self._limits = limits
        self.transport = transport
        self.address = address
        self.is_counted = is_counted
        self.is_pending = True

    def head_is_in(self) -> None:
        """The request head has come; the connection no longer waits for it."""
        if self.is_pending:
            self.is_pending = False
            self._limits.num_pending -= 1

    def leave(self) -> None:
        """The connection has ended; doing this twice does no harm."""
        self.head_is_in()
        self._limits.forget(self)


class AcceptLimits:
    """Counts connections and says when one is too many.

    Attributes:
        num_pending: Connections whose request head has not come in.
    """

    def __init__(self, config: LimitsConfig) -> None:
        """Start with nobody."""
        self._config = config
        self._tickets: set[Ticket] = set()
        self._num_counted = 0
        self._per_address: Counter[str] = Counter()
        self.num_pending = 0

    def __len__(self) -> int:
        """Connections of any kind, those being turned away included."""
        return len(self._tickets)

    def enter(self, transport: Transport, address: str) -> tuple[Ticket, str | None]:
        """Count a connection; returns its ticket and, if it must be turned away, a sentence."""
        reason = self._refusal(address)
        ticket = Ticket(self, transport, address, is_counted=reason is None)
        self._tickets.add(ticket)
        self.num_pending += 1
        if ticket.is_counted:
            self._num_counted += 1
            self._per_address[address] += 1
        return ticket, reason

    def forget(self, ticket: Ticket) -> None:
        """Give a place back; for ``Ticket.leave``."""
        if ticket not in self._tickets:
            return
        self._tickets.remove(ticket)
        if ticket.is_counted:
            self._num_counted -= 1
            self._per_address[ticket.address] -= 1
            if not self._per_address[ticket.address]:
                del self._per_address[ticket.address]

    def abort_pending(self) -> None:
        """Cut off whoever has not said what it wants."""
        for ticket in list(self._tickets):
            if ticket.is_pending:
                ticket.transport.abort()

    def abort_all(self) -> None:
        """Cut everybody off."""
        for ticket in list(self._tickets):
            ticket.transport.abort()

    @property
    def has_room_for_heads(self) -> bool:
        """Whether one more connection may take its time to say what it wants."""
        return self.num_pending <= self._config.max_pending_heads

    def _refusal(self, address: str) -> str | None:
        if self._num_counted >= self._config.max_connections:
            return f"the server has {self._num_counted} connections, which is its limit"
        most = self._config.max_connections_per_address
        if self._per_address[address] >= most and not _is_loopback(address):
            return f"this address has {most} connections, which is the limit for one"
        return None


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
