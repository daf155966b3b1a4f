"""When a lost engine is started anew, and when it is given up."""

from __future__ import annotations

from engine.config import SupervisionConfig
from engine.supervision.restart_policy import MAX_BACKOFF_S, STABLE_S, RestartPolicy


def test_the_first_restart_is_made_at_once() -> None:
    """Most processes that die once are well after."""
    policy = RestartPolicy(SupervisionConfig())
    policy.ready(0.0)
    assert policy.lost(100.0) == 0.0


def test_losses_in_a_row_wait_longer_each_time() -> None:
    """Twice as long as before, from the second on."""
    policy = RestartPolicy(SupervisionConfig(backoff_s=1.0))
    assert [policy.lost(float(now)) for now in range(5)] == [0.0, 1.0, 2.0, 4.0, 8.0]


def test_no_wait_is_longer_than_the_bound() -> None:
    """However many restarts are allowed."""
    policy = RestartPolicy(SupervisionConfig(max_restarts=100))
    waits = [policy.lost(float(now)) for now in range(100)]
    assert waits[-1] == MAX_BACKOFF_S


def test_an_engine_that_was_well_for_a_while_begins_a_new_row() -> None:
    """The next restart is made at once again."""
    policy = RestartPolicy(SupervisionConfig())
    policy.lost(0.0)
    policy.ready(5.0)
    assert policy.lost(5.0 + STABLE_S) == 0.0


def test_an_engine_that_dies_young_does_not() -> None:
    """Being ready for a second is no proof."""
    policy = RestartPolicy(SupervisionConfig())
    policy.lost(0.0)
    policy.ready(5.0)
    assert policy.lost(6.0) == 1.0


def test_one_loss_too_many_within_the_window_is_the_end() -> None:
    """More than five restarts in ten minutes, as it comes."""
    policy = RestartPolicy(SupervisionConfig())
    assert None not in [policy.lost(100.0 * index) for index in range(5)]
    assert policy.lost(599.0) is None
    assert policy.num_recent == 6


def test_losses_older_than_the_window_are_forgiven() -> None:
    """A server may run for months."""
    policy = RestartPolicy(SupervisionConfig())
    assert None not in [policy.lost(120.0 * index) for index in range(50)]


def test_no_restart_at_all_may_be_allowed() -> None:
    """Then a lost engine is lost."""
    assert RestartPolicy(SupervisionConfig(max_restarts=0)).lost(0.0) is None
