"""What each tenant may take: connections, responses at once and in the queue, requests and tokens.

A *tenant* is whoever is told apart: the principal of a key, or, where no key is needed, the address
that requests come from. Requests and tokens are token buckets that hold a minute's worth, as
OpenAI's limits are. Tokens are reserved when a response begins, by what it may come to, and settled
when it ends, by what it was; until then they count as spent. Only whole responses are charged: what
is refused costs nothing.

Each tenant has an *account*. Where there are too many, some of those that take nothing are
forgotten: those whose buckets are full again, without loss, or, where there is none, those that
were used longest ago, whatever is in their buckets, so that nobody can fill the memory from many
addresses.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from server.limits.account import RETRY_S, Account
from server.limits.account_limits import AccountLimits
from server.limits.denial import Denial, Reason
from server.protocol.objects import RateLimit

MAX_ACCOUNTS = 10_000
"""Accounts that are remembered although they take nothing at the moment."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a tenant stands among all.

    Attributes:
        num_live: Its responses that have not ended.
        num_live_of_all: Everybody's.
        num_tenants: Tenants with any, this one counted in whether it has any or not.
        is_new: Whether none of its responses that have ended is remembered.
    """

    num_live: int
    num_live_of_all: int
    num_tenants: int
    is_new: bool

    @property
    def has_its_share(self) -> bool:
        """Whether it has more than an equal part already."""
        return self.num_live * self.num_tenants > self.num_live_of_all


class Lease:
    """One response's place in its tenant's account; whoever began it ends it, once."""

    __slots__ = ("_quotas", "tenant", "is_ended", "is_queued", "num_reserved")

    def __init__(self, quotas: Quotas, tenant: str, num_tokens: int) -> None:
        self._quotas = quotas
        self.tenant = tenant
        self.num_reserved = num_tokens
        self.is_queued = True
        self.is_ended = False

    def reserve(self, num_tokens: int, now: float) -> None:
        """Know better than at the beginning what the response may come to."""
        if not self.is_ended:
            self._quotas.charge(self.tenant, num_tokens - self.num_reserved, now)
            self.num_reserved = num_tokens

    def leave_queue(self) -> None:
        """The first token has come; doing this twice does no harm."""
        if self.is_queued:
            self.is_queued = False
            self._quotas.left_queue(self.tenant)

    def end(self, num_tokens: int, now: float) -> None:
        """The response has ended and came to so many tokens; doing this twice does no harm."""
        if self.is_ended:
            return
        self.reserve(num_tokens, now)
        self.leave_queue()
        self.is_ended = True
        self._quotas.left(self.tenant)


class Quotas:
    """The accounts of one server's tenants."""

    def __init__(
        self, limits_of: Callable[[str], AccountLimits], *, max_accounts: int = MAX_ACCOUNTS
    ) -> None:
        """Start with nobody.

        Args:
            limits_of: What a tenant may take; may change, and is asked every time.
            max_accounts: Idle accounts to remember.
        """
        self._limits_of = limits_of
        self._max_accounts = max_accounts
        self._accounts: OrderedDict[str, Account] = OrderedDict()  # least recently used first
        self._num_live = 0
        self._num_queued = 0
        self._num_live_accounts = 0

    def __len__(self) -> int:
        """Accounts that are remembered."""
        return len(self._accounts)

    @property
    def num_live(self) -> int:
        """Responses that have not ended."""
        return self._num_live

    @property
    def num_queued(self) -> int:
        """Responses that wait for their first token."""
        return self._num_queued

    def enter_connection(self, tenant: str, now: float) -> Denial | None:
        """Count a connection in, unless it is one too many for its tenant."""
        one = self._use(tenant, now)
        most = one.limits.max_connections
        if most is not None and one.num_connections >= most:
            return Denial(
                Reason.KEY_CONNECTIONS,
                f"this key has {one.num_connections} connections, which is its limit; close one",
                RETRY_S,
            )
        one.num_connections += 1
        return None

    def leave_connection(self, tenant: str) -> None:
        """Count a connection out that was counted in."""
        one = self._accounts[tenant]
        assert one.num_connections > 0
        one.num_connections -= 1
        self._forget_if_too_many(tenant, one)

    def check_response(
        self, tenant: str, num_tokens: int, now: float, *, num_ending: int = 0
    ) -> Denial | None:
        """Find out whether a response may begin now; nothing is charged.

        Args:
            tenant: Whose.
            num_tokens: What it may come to, as far as that is known.
            now: Seconds.
            num_ending: Responses of the tenant that end for it.
        """
        return self._use(tenant, now).refusal(num_tokens, now, num_ending=num_ending)

    def start_response(self, tenant: str, num_tokens: int, now: float) -> Lease:
        """Charge a response that begins; ``check_response`` has let it, or it cannot be refused."""
        one = self._use(tenant, now)
        one.charge(num_tokens, now, num_requests=1)
        self._num_live_accounts += one.num_live == 0
        one.num_live += 1
        one.num_queued += 1
        self._num_live += 1
        self._num_queued += 1
        return Lease(self, tenant, num_tokens)

    def reservable(self, tenant: str, num_tokens: int, now: float) -> int:
        """What is reserved for a reply that may become long: no more than a full bucket holds."""
        tokens = self._use(tenant, now).tokens
        return num_tokens if tokens is None else min(num_tokens, int(tokens.burst))

    def is_in_debt(self, tenant: str, now: float) -> bool:
        """Whether a tenant has spent more tokens than it had."""
        one = self._accounts.get(tenant)
        return one is not None and one.tokens is not None and one.tokens.level(now) < 0

    def standing(self, tenant: str) -> Standing:
        """How a tenant stands among all."""
        one = self._accounts.get(tenant)
        num_live = 0 if one is None else one.num_live
        return Standing(
            num_live=num_live,
            num_live_of_all=self._num_live,
            num_tenants=self._num_live_accounts + (num_live == 0),
            is_new=one is None or one.is_new,
        )

    def rate_limits(self, tenant: str, now: float) -> list[RateLimit]:
        """What a tenant has left of what is limited, for the wire."""
        return self._use(tenant, now).rate_limits(now)

    def charge(self, tenant: str, num_tokens: int, now: float) -> None:
        """Charge more tokens, or fewer; for ``Lease``."""
        self._accounts[tenant].charge(num_tokens, now)

    def left_queue(self, tenant: str) -> None:
        """A response has begun to be written; for ``Lease``."""
        self._accounts[tenant].num_queued -= 1
        self._num_queued -= 1

    def left(self, tenant: str) -> None:
        """A response has ended; for ``Lease``."""
        one = self._accounts[tenant]
        one.num_live -= 1
        one.is_new = False
        self._num_live -= 1
        self._num_live_accounts -= one.num_live == 0
        self._forget_if_too_many(tenant, one)

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless the sums are those of the accounts."""
        accounts = self._accounts.values()
        assert self._num_live == sum(one.num_live for one in accounts)
        assert self._num_queued == sum(one.num_queued for one in accounts)
        assert self._num_live_accounts == sum(one.num_live > 0 for one in accounts)
        assert all(0 <= one.num_queued <= one.num_live for one in accounts)
        assert all(one.num_connections >= 0 for one in accounts)
        num_busy = sum(one.is_busy for one in accounts)
        assert len(self._accounts) <= self._max_accounts + num_busy, "idle accounts pile up"

    def _use(self, tenant: str, now: float) -> Account:
        limits = self._limits_of(tenant)
        one = self._accounts.get(tenant)
        if one is None:
            self._make_room(now)
            one = self._accounts[tenant] = Account(limits, now)
        elif one.limits != limits:
            one.limit(limits, now)
        self._accounts.move_to_end(tenant)
        return one

    def _forget_if_too_many(self, tenant: str, one: Account) -> None:
        if not one.is_busy and len(self._accounts) > self._max_accounts:
            del self._accounts[tenant]

    def _make_room(self, now: float) -> None:
        if len(self._accounts) < self._max_accounts:
            return
        idle = [name for name, one in self._accounts.items() if not one.is_busy]
        # A quarter at once, so that a flood of new ones does not look through all for each.
        num_to_go = min(len(idle), max(1, self._max_accounts // 4))
        settled = [name for name in idle if self._accounts[name].is_settled(now)]
        for name in (settled or idle)[:num_to_go]:
            del self._accounts[name]
