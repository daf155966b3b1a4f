"""One account says what it may still take, and why it may not."""

from __future__ import annotations

import pytest

from server.limits.account import Account
from server.limits.account_limits import AccountLimits
from server.limits.denial import Reason


def make_account(**limits: int) -> Account:
    """With full buckets, at 0 s."""
    return Account(AccountLimits(**limits), 0)


def reason(
    account: Account, num_tokens: int = 1, now: float = 0, num_ending: int = 0
) -> str | None:
    """Why a response may not begin."""
    denial = account.refusal(num_tokens, now, num_ending=num_ending)
    return None if denial is None else denial.reason


def test_what_ends_for_it_does_not_count() -> None:
    """Whoever takes over from their own only response may."""
    account = make_account(max_concurrent_responses=1, max_queued_responses=1)
    account.num_live = account.num_queued = 1
    assert reason(account) is Reason.RESPONSES
    assert reason(account, num_ending=1) is None
    account.limits = AccountLimits(max_queued_responses=1)
    assert reason(account) is Reason.QUEUED


def test_a_refusal_says_limit_use_and_wait() -> None:
    """In the words that OpenAI's clients know."""
    account = make_account(tokens_per_min=600)
    account.charge(500, 0)
    denial = account.refusal(200, 0, num_ending=0)
    assert denial is not None
    assert denial.message == (
        "Rate limit reached for tokens per minute: the limit is 600, used 500, requested 200. "
        "Please try again in 10s."
    )


def test_requests_are_counted_apart_from_tokens() -> None:
    """A correction of tokens is no request."""
    account = make_account(requests_per_min=1, tokens_per_min=100)
    account.charge(50, 0, num_requests=1)
    account.charge(-50, 0)
    assert [one.remaining for one in account.rate_limits(0)] == [0, 100]
    assert reason(account) is Reason.REQUESTS
    assert reason(account, now=60) is None


def test_more_than_a_minute_holds_is_refused_for_good() -> None:
    """There is no wait to name."""
    denial = make_account(tokens_per_min=10).refusal(11, 0, num_ending=0)
    assert denial is not None
    assert denial.retry_after_s is None


@pytest.mark.parametrize(("now", "is_settled"), [(0.0, False), (29.0, False), (31.0, True)])
def test_it_is_settled_when_forgetting_it_gives_nothing(now: float, is_settled: bool) -> None:
    """And busy while anything is open."""
    account = make_account(tokens_per_min=600)
    account.charge(300, 0)
    assert account.is_settled(now) == is_settled
    assert not account.is_busy
    account.num_connections = 1
    assert account.is_busy


def test_without_limits_anything_goes() -> None:
    """Nothing is counted, nothing told."""
    account = make_account()
    account.charge(10**9, 0, num_requests=1)
    assert reason(account, 10**9) is None
    assert account.rate_limits(0) == []
    assert account.is_settled(0)
