"""Timelines: rows of bars and dots."""

from __future__ import annotations

import re

from clients.replay.timelines import Kind, Row, timeline

KINDS = {"wait": Kind("waiting", "#111"), "cut": Kind("cut off", "#222", is_dot=True)}


def test_bars_and_dots_are_drawn_and_named() -> None:
    """What occurs is in the legend, in the kinds' order."""
    picture = timeline("t", "s", [Row("a", [("wait", 0.0, 5.0)], [("cut", 5.0)])], KINDS)
    assert [key.name for key in picture.keys] == ["waiting", "cut off"]
    assert picture.body.count("<circle") == 1


def test_what_never_occurs_is_not_in_the_legend() -> None:
    """A reader would look for it."""
    picture = timeline("t", "s", [Row("a", [("wait", 0.0, 5.0)])], KINDS)
    assert [key.name for key in picture.keys] == ["waiting"]


def test_stretches_that_cannot_be_told_apart_are_one() -> None:
    """A thousand breaks of a millisecond in an hour are a few bars."""
    bars = [("wait", second, second + 0.001) for second in range(1000)]
    row = Row("a", [*bars, ("wait", 3599.0, 3600.0)])
    body = timeline("t", "s", [row], KINDS).body
    assert len(re.findall(r"M[\d.]+ [\d.]+h", body)) == 2


def test_long_names_are_cut_and_escaped() -> None:
    """The end tells sessions of a trace apart."""
    body = timeline("t", "s", [Row("a-very-long-name-<7>", [("wait", 0.0, 1.0)])], KINDS).body
    assert "…-name-&lt;7&gt;" in body


def test_many_rows_are_lower_than_few() -> None:
    """Sixty listeners fit a screen."""
    few = timeline("t", "s", [Row("a", [("wait", 0.0, 1.0)])] * 2, KINDS)
    many = timeline("t", "s", [Row("a", [("wait", 0.0, 1.0)])] * 60, KINDS)
    assert many.height < 30 * few.height / 2
    assert many.height <= 480


def test_rows_without_anything_are_no_picture() -> None:
    """The page says that there is nothing to show."""
    assert not timeline("t", "s", [Row("a")], KINDS).body
