"""A key's own limits come before the settings'."""

from __future__ import annotations

from server.auth.keys import NO_LIMITS, KeyLimits
from server.config.limits import LimitsConfig
from server.limits.account_limits import AccountLimits, limits_for

CONFIG = LimitsConfig(tokens_per_min=1000, requests_per_min=10, max_queued_responses=3)


def test_without_settings_nothing_is_limited() -> None:
    """As it is by default."""
    assert limits_for(LimitsConfig(), NO_LIMITS) == AccountLimits()


def test_settings_are_for_keys_without_limits_of_their_own() -> None:
    """Each limit by itself."""
    limits = limits_for(CONFIG, KeyLimits(tokens_per_min=5, max_concurrent_responses=2))
    assert limits == AccountLimits(
        max_concurrent_responses=2, max_queued_responses=3, requests_per_min=10, tokens_per_min=5
    )
