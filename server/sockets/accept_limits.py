"""How many TCP connections there are and come in, in all, per address and without a request yet."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from server.config.limits import MAX_TURNED_AWAY, LimitsConfig
from server.limits.keyed_rate import KeyedRate
from server.limits.token_bucket import TokenBucket


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Why a connection is one too many.

    Attributes:
        reason: For the metrics.
        message: For people.
        is_own_doing: Whether its own address has too many, and not the server.
        retry_after_s: Seconds after which coming back makes sense.
        is_told_unasked: Whether it is not waited for until it has said what it wants.
    """

    reason: str
    message: str
    is_own_doing: bool
    retry_after_s: float
    is_told_unasked: bool = False


RETRY_AFTER_S = 2.0
"""When somebody may have left; nobody knows."""

_TOO_MANY_HEADS = TurnedAway(
    "too_many_pending_heads",
    "too many connections wait for their first request",
    is_own_doing=False,
    retry_after_s=RETRY_AFTER_S,
    is_told_unasked=True,
)


class Abortable(Protocol):
    """A connection, or what will become one."""

    def abort(self) -> None:
        """Cut it off at once."""
        ...


class Ticket:
    """One TCP connection's place; whoever sees the connection end gives it back."""

    __slots__ = ("_limits", "address", "is_counted", "is_pending", "is_turned_away", "transport")

    def __init__(
        self, limits: AcceptLimits, transport: Abortable, address: str, *, is_counted: bool
    ) -> None:
        self._limits = limits
        self.transport = transport
        self.address = address
        self.is_counted = is_counted
        self.is_pending = True
        self.is_turned_away = False

    def head_is_in(self) -> None:
        """The request head has come; the connection no longer waits for it."""
        if self.is_pending:
            self.is_pending = False
            self._limits.num_pending -= 1

    def turn_away(self) -> bool:
        """Nothing is waited for any more; returns whether there is room to say why."""
        if self.is_turned_away:
            return True
        self.head_is_in()
        self.is_turned_away = self._limits.num_turned_away < MAX_TURNED_AWAY
        self._limits.num_turned_away += self.is_turned_away
        return self.is_turned_away

    def leave(self) -> None:
        """The connection has ended; doing this twice does no harm."""
        self.head_is_in()
        if self.is_turned_away:
            self.is_turned_away = False
            self._limits.num_turned_away -= 1
        self._limits.forget(self)


class AcceptLimits:
    """Counts connections and says when one is too many.

    Attributes:
        num_pending: Connections whose request head has not come in.
        num_turned_away: Connections that are being told that they are too many, unasked.
    """

    def __init__(self, config: LimitsConfig) -> None:
        """Start with nobody."""
        self._config = config
        self._proxies = [ipaddress.ip_network(network) for network in config.proxies]
        self._rate: TokenBucket | None = None  # begins with the first connection's clock
        self._rate_per_address = KeyedRate(
            rate=config.accepts_per_s_per_address, burst=config.accept_burst_per_address
        )
        self._tickets: set[Ticket] = set()
        self._num_counted = 0
        self._per_address: Counter[str] = Counter()
        self.num_pending = 0
        self.num_turned_away = 0

    def __len__(self) -> int:
        """Connections of any kind, those being turned away included."""
        return len(self._tickets)

    def enter(
        self, transport: Abortable, address: str, now: float
    ) -> tuple[Ticket, TurnedAway | None]:
        """Count a connection; returns its ticket and, if it must be turned away, why.

        Who has too many may not hold more by saying nothing, so it is told unasked.
        """
        refusal = self._refusal(address, now)
        if not self.has_room_for_heads and (refusal is None or not refusal.is_told_unasked):
            refusal = _TOO_MANY_HEADS
        ticket = Ticket(self, transport, address, is_counted=refusal is None)
        self._tickets.add(ticket)
        self.num_pending += 1
        if ticket.is_counted:
            self._num_counted += 1
            self._per_address[address] += 1
        return ticket, refusal

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
        """Cut off whoever has not said what it wants, or was not asked."""
        for ticket in list(self._tickets):
            if ticket.is_pending or ticket.is_turned_away:
                ticket.transport.abort()

    def abort_all(self) -> None:
        """Cut everybody off."""
        for ticket in list(self._tickets):
            ticket.transport.abort()

    @property
    def has_room_for_heads(self) -> bool:
        """Whether one more connection may take its time to say what it wants."""
        return self.num_pending < self._config.max_pending_heads

    def fullness(self, address: str) -> TurnedAway | None:
        """Why one more from there would be one too many, however slowly it comes."""
        config = self._config
        if self._num_counted >= config.max_connections:
            message = f"the server has {self._num_counted} connections, which is its limit"
            return TurnedAway("too_many_connections", message, False, RETRY_AFTER_S)
        most = config.max_connections_per_address
        if self._per_address[address] >= most and not self._is_exempt(address):
            message = f"this address has {most} connections, which is the limit for one"
            reason = "too_many_connections_per_address"
            return TurnedAway(reason, message, True, RETRY_AFTER_S, is_told_unasked=True)
        return None

    def _refusal(self, address: str, now: float) -> TurnedAway | None:
        if (full := self.fullness(address)) is not None:
            return full
        config, is_exempt = self._config, self._is_exempt(address)
        if not is_exempt and (wait := self._rate_per_address.take(address, now)) > 0:
            message = (
                f"more than {config.accepts_per_s_per_address:g} connections per second come from "
                "this address, which is the limit for one"
            )
            return TurnedAway("accept_rate_per_address", message, True, wait, is_told_unasked=True)
        if self._rate is None:
            self._rate = TokenBucket(rate=config.accepts_per_s, burst=config.accept_burst, now=now)
        if (wait := self._rate.wait_for(now)) > 0:
            message = (
                f"more than {config.accepts_per_s:g} connections per second come in, which is the "
                "server's limit"
            )
            return TurnedAway("accept_rate", message, False, wait)
        self._rate.take(now)
        return None

    def _is_exempt(self, address: str) -> bool:
        """Whether many clients come from one address: loopback, or a proxy that was named."""
        return _is_within(address, self._proxies)


def _is_within(
    address: str, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]
) -> bool:
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(known, "ipv4_mapped", None)  # an IPv4 client of a socket for both
    known = mapped or known
    return known.is_loopback or any(known in network for network in networks)
