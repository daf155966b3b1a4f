"""What a tenant has taken is counted, refused beyond its limits, and comes back."""

from __future__ import annotations

import random

import pytest

from server.limits.account_limits import AccountLimits
from server.limits.denial import Denial, Reason
from server.limits.quotas import Lease, Quotas


def make_quotas(max_accounts: int = 100, **limits: int) -> Quotas:
    """Everybody has the same limits."""
    usual = AccountLimits(**limits)
    return Quotas(lambda tenant: usual, max_accounts=max_accounts)


def denied(denial: Denial | None) -> Denial:
    """It was refused."""
    assert denial is not None
    return denial


def test_without_limits_nobody_is_refused() -> None:
    """As it is by default."""
    quotas = make_quotas()
    for _ in range(1000):
        assert quotas.check_response("a", 10**6, 0) is None
        quotas.start_response("a", 10**6, 0)
        assert quotas.enter_connection("a", 0) is None
    assert quotas.rate_limits("a", 0) == []


def test_connections_of_one_key_are_bounded() -> None:
    """One more is refused until one leaves; others are not concerned."""
    quotas = make_quotas(max_connections=2)
    assert [quotas.enter_connection("a", 0) for _ in range(2)] == [None, None]
    denial = denied(quotas.enter_connection("a", 0))
    assert (denial.code, denial.reason) == ("too_many_connections", Reason.KEY_CONNECTIONS)
    assert quotas.enter_connection("b", 0) is None
    quotas.leave_connection("a")
    assert quotas.enter_connection("a", 0) is None


def test_responses_at_once_are_bounded() -> None:
    """Those that wait count as those that run."""
    quotas = make_quotas(max_concurrent_responses=2)
    first = quotas.start_response("a", 1, 0)
    quotas.start_response("a", 1, 0).leave_queue()
    assert denied(quotas.check_response("a", 1, 0)).reason is Reason.RESPONSES
    first.end(1, 0)
    assert quotas.check_response("a", 1, 0) is None


def test_responses_that_wait_are_bounded() -> None:
    """The first token makes room."""
    quotas = make_quotas(max_queued_responses=1)
    lease = quotas.start_response("a", 1, 0)
    assert denied(quotas.check_response("a", 1, 0)).reason is Reason.QUEUED
    lease.leave_queue()
    assert quotas.check_response("a", 1, 0) is None


def test_requests_per_minute_are_bounded_and_come_back() -> None:
    """A minute's worth at once, and then one in every so many seconds."""
    quotas = make_quotas(requests_per_min=6)
    for _ in range(6):
        assert quotas.check_response("a", 1, 0) is None
        quotas.start_response("a", 1, 0).end(1, 0)
    denial = denied(quotas.check_response("a", 1, 0))
    assert (denial.reason, denial.code) == (Reason.REQUESTS, "rate_limit_exceeded")
    assert denial.retry_after_s == pytest.approx(10)
    assert "Please try again in 10s." in denial.message
    assert quotas.check_response("a", 1, 10) is None


def test_tokens_are_reserved_and_settled() -> None:
    """What a reply did not come to is there again at once."""
    quotas = make_quotas(tokens_per_min=600)
    lease = quotas.start_response("a", 500, 0)
    denial = denied(quotas.check_response("a", 200, 0))
    assert denial.reason is Reason.TOKENS
    assert denial.retry_after_s == pytest.approx(10)
    lease.end(150, 0)
    assert quotas.check_response("a", 450, 0) is None
    assert denied(quotas.check_response("a", 451, 0)).retry_after_s == pytest.approx(0.1)


def test_tokens_that_a_reply_was_not_expected_to_take_are_a_debt() -> None:
    """Nothing is cut short; whoever comes next waits for it."""
    quotas = make_quotas(tokens_per_min=600)
    quotas.start_response("a", 100, 0).end(900, 0)
    assert quotas.is_in_debt("a", 0)
    assert denied(quotas.check_response("a", 1, 0)).retry_after_s == pytest.approx(30.1)
    assert not quotas.is_in_debt("a", 31)


def test_a_better_estimate_takes_the_place_of_the_first() -> None:
    """Before a reply ends, too."""
    quotas = make_quotas(tokens_per_min=600)
    lease = quotas.start_response("a", 100, 0)
    lease.reserve(400, 0)
    assert quotas.rate_limits("a", 0)[0].remaining == 200
    lease.reserve(50, 0)
    assert quotas.rate_limits("a", 0)[0].remaining == 550


def test_what_never_fits_is_refused_for_good() -> None:
    """No wait is named, because none would help."""
    denial = denied(make_quotas(tokens_per_min=100).check_response("a", 101, 0))
    assert denial.retry_after_s is None
    assert "100 per minute" in denial.message


def test_what_may_become_long_is_reserved_up_to_a_full_bucket() -> None:
    """Otherwise a client that names no length could never ask."""
    assert make_quotas(tokens_per_min=100).reservable("a", 612, 0) == 100
    assert make_quotas().reservable("a", 612, 0) == 612


def test_ending_twice_gives_back_once() -> None:
    """Two callbacks may see the same end."""
    quotas = make_quotas(tokens_per_min=600)
    lease = quotas.start_response("a", 600, 0)
    lease.end(100, 0)
    lease.end(0, 0)
    lease.reserve(1000, 0)
    assert quotas.num_live == 0
    assert quotas.rate_limits("a", 0)[0].remaining == 500


def test_what_is_left_is_told() -> None:
    """In the wire's words, the reservation taken off."""
    quotas = make_quotas(requests_per_min=60, tokens_per_min=6000)
    quotas.start_response("a", 1000, 0)
    requests, tokens = quotas.rate_limits("a", 0)
    assert (requests.name, requests.limit, requests.remaining) == ("requests", 60, 59)
    assert (tokens.name, tokens.limit, tokens.remaining) == ("tokens", 6000, 5000)
    assert (requests.reset_seconds, tokens.reset_seconds) == (1.0, 10.0)


def test_limits_may_change_under_a_key() -> None:
    """New ones begin full; what is going on is still counted."""
    limits = {"a": AccountLimits(tokens_per_min=100)}
    quotas = Quotas(limits.__getitem__)
    lease = quotas.start_response("a", 100, 0)
    limits["a"] = AccountLimits(tokens_per_min=500, max_concurrent_responses=1)
    assert denied(quotas.check_response("a", 1, 0)).reason is Reason.RESPONSES
    lease.end(100, 0)
    assert quotas.check_response("a", 400, 0) is None


def test_shares_are_those_of_accounts_with_something_going_on() -> None:
    """Who has more than an equal part has its share; who is known is not new."""
    quotas = make_quotas()
    for _ in range(9):
        quotas.start_response("a", 1, 0)
    quotas.start_response("b", 1, 0).end(1, 0)
    quotas.start_response("b", 1, 0)
    assert quotas.standing("a").has_its_share
    assert quotas.standing("a").is_new
    assert not quotas.standing("b").has_its_share
    assert not quotas.standing("b").is_new
    stranger = quotas.standing("c")
    assert (stranger.num_tenants, stranger.has_its_share, stranger.is_new) == (3, False, True)


def test_who_is_alone_never_has_more_than_its_share() -> None:
    """There is nobody to be fair to."""
    quotas = make_quotas()
    for _ in range(9):
        quotas.start_response("a", 1, 0)
    assert not quotas.standing("a").has_its_share


def test_idle_accounts_are_forgotten_those_first_that_owe_nothing() -> None:
    """And whoever has something going on is not."""
    quotas = make_quotas(max_accounts=8, tokens_per_min=600)
    quotas.start_response("debtor", 600, 0).end(600, 0)
    quotas.enter_connection("guest", 0)
    for n in range(6):
        quotas.check_response(f"idle{n}", 1, 0)
    quotas.check_response("new", 1, 0)
    assert len(quotas) == 7
    assert denied(quotas.check_response("debtor", 100, 0)).reason is Reason.TOKENS
    quotas.leave_connection("guest")


@pytest.mark.parametrize("seed", range(10))
def test_counts_never_drift(seed: int) -> None:
    """After any history the sums are right, no limit is passed, and everything comes back."""
    rng = random.Random(seed)
    quotas = make_quotas(
        max_accounts=6, max_connections=3, max_concurrent_responses=4, tokens_per_min=6000
    )
    leases: list[Lease] = []
    inside: list[str] = []
    now = 0.0
    for _ in range(400):
        now += rng.random() * 5
        tenant = f"a{rng.randrange(20)}"
        match rng.randrange(6):
            case 0 if quotas.enter_connection(tenant, now) is None:
                inside.append(tenant)
            case 1 if inside:
                quotas.leave_connection(inside.pop(rng.randrange(len(inside))))
            case 2 | 3:
                num_tokens = rng.randrange(2000)
                if quotas.check_response(tenant, num_tokens, now) is None:
                    leases.append(quotas.start_response(tenant, num_tokens, now))
            case 4 if leases:
                lease = rng.choice(leases)
                if rng.random() < 0.5:
                    lease.leave_queue()
                else:
                    lease.reserve(500, now)
            case 5 if leases:
                leases.pop(rng.randrange(len(leases))).end(rng.randrange(2000), now)
        quotas.check_integrity()
        assert all(inside.count(name) <= 3 for name in inside)
        assert all(quotas.standing(lease.tenant).num_live <= 4 for lease in leases)
    for lease in leases:
        lease.end(0, now)
    assert (quotas.num_live, quotas.num_queued) == (0, 0)
    quotas.check_integrity()
