"""Borrowers of a pool."""

from __future__ import annotations

from engine.errors import Closed
from engine.single_shot.lease import Lease, Waiter, not_made


def test_a_wait_ends_with_an_instance_or_an_error() -> None:
    """Instance 0 is one too."""
    waiter = Waiter(1, lambda: None)
    assert not waiter.has_ended
    waiter.instance = 0
    assert waiter.has_ended
    assert Waiter(2, lambda: None, error=Closed("pool")).has_ended


def test_a_lease_may_be_spoilt() -> None:
    """By whoever holds it."""
    lease = Lease(3, "model")
    assert (lease.instance, lease.is_spoilt) == ("model", False)
    lease.discard()
    assert lease.is_spoilt


def test_what_the_factory_raised_is_told() -> None:
    """As the cause, and in words."""
    cause = OSError("no disk")
    error = not_made(cause)
    assert (error.code, error.__cause__) == ("model_error", cause)
    assert "no disk" in error.message
