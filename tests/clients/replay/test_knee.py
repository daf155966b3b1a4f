"""Where goodput stops to follow what is offered."""

from __future__ import annotations

from clients.replay.knee import Knee, RatePoint, knee


def curve(*points: tuple[float, float]) -> list[RatePoint]:
    """Return points of offered rate and goodput; the share is their quotient."""
    return [RatePoint(offered, good, good / offered) for offered, good in points]


def test_the_knee_is_the_last_rate_that_is_kept() -> None:
    """At 4 and 5 a second, less than 95 % are good; the curve bends at 3 as well."""
    assert knee(curve((1, 1), (2, 2), (3, 2.9), (4, 3.1), (5, 3.0))) == Knee(3, 3)


def test_a_rate_beyond_a_bad_one_is_not_kept() -> None:
    """The share has to stay above, not to come back by luck."""
    assert knee(curve((1, 1), (2, 1.5), (3, 3))).kept_per_s == 1


def test_nothing_is_kept_where_the_first_rate_is_too_much() -> None:
    """The sweep began too high."""
    assert knee(curve((10, 3), (20, 3))).kept_per_s is None


def test_a_sweep_without_one_good_reply_has_neither() -> None:
    """A server that fails, or a target that nothing keeps, bends nowhere."""
    assert knee(curve((1, 0), (2, 0), (4, 0))) == Knee(None, None)


def test_the_bend_is_farthest_above_the_straight_line() -> None:
    """Even where all rates but the last are kept."""
    found = knee(curve((1, 1), (2, 2), (4, 4), (8, 5)), least_share=0.5)
    assert found == Knee(8, 4)


def test_points_may_come_in_any_order_and_more_than_once() -> None:
    """Runs of one rate count by their mean."""
    points = curve((4, 2), (2, 2), (1, 1), (4, 4))
    assert knee(points, least_share=0.75).kept_per_s == 4
    assert knee(points, least_share=0.76).kept_per_s == 2


def test_a_straight_a_level_and_a_short_curve_have_no_bend() -> None:
    """Whatever is farthest there is noise."""
    for points in ([(1, 1), (2, 2), (3, 3)], [(9, 1), (20, 1.01), (30, 1.0)], [(1, 1), (2, 1.5)]):
        assert knee(curve(*points)).bend_per_s is None
    assert knee([]) == Knee(None, None)
