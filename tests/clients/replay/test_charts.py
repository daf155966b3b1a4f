"""Charts: what curves become in SVG."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree

import pytest

from clients.replay.charts import Line, Mark, chart, cumulative, figure, plot, thinned


def test_a_distribution_function_climbs_to_1() -> None:
    """Whatever is left out in between."""
    points = cumulative([float(value) for value in range(5000, 0, -1)])
    assert points[-1] == (5000.0, 1.0)
    assert points == sorted(points)
    assert len(points) < 500


def test_thinning_keeps_the_peaks() -> None:
    """A spike of one step is what one looks for."""
    points = [(float(time), 100.0 if time == 777 else 1.0) for time in range(10_000)]
    kept = thinned(points)
    assert (777.0, 100.0) in kept
    assert len(kept) <= 400


@pytest.mark.parametrize("log_x", [False, True])
def test_a_chart_of_one_value_is_still_a_chart(log_x: bool) -> None:
    """Nothing is divided by zero."""
    assert "<polyline" in chart("t", "x", "y", [Line("a", [(5.0, 0.0)])], log_x=log_x)
    assert "nothing to show" in chart("t", "x", "y", [], log_x=log_x)


def test_a_curve_is_broken_where_nothing_was_measured() -> None:
    """A line across the hole would be a claim."""
    points = [(0.0, 1.0), (1.0, 2.0), (2.0, math.nan), (3.0, 1.0), (4.0, 1.0)]
    assert plot("t", "x", "y", [Line("a", points)]).body.count("<polyline") == 2


def test_a_point_between_two_holes_is_a_dot() -> None:
    """A line of one point would not be seen."""
    points = [(0.0, math.nan), (1.0, 2.0), (2.0, math.nan)]
    assert plot("t", "x", "y", [Line("a", points)]).body.count("<circle") == 1


def test_a_mark_is_a_line_across_with_its_name() -> None:
    """And it lies on the axis even where no curve comes so far."""
    body = plot("t", "x", "y", [Line("a", [(0, 1), (1, 2)])], marks=[Mark(8.0, "knee")]).body
    assert "knee</text>" in body
    assert ">8</text>" in body


def test_everything_that_is_named_is_escaped_and_the_figure_parses() -> None:
    """Names come from traces and command lines."""
    lines = [Line("<a> & b", [(0.0, 1.0), (1.0, 2.0)], dashed=True, shade=9)]
    text = figure(plot("<t>", "x<", "y&", lines, caption="<how>"))
    root = ElementTree.fromstring(text)
    assert root.tag == "figure"
    assert [key.text or key[0].tail for key in root.iterfind("p/span")] == ["<a> & b"]
    assert "<a>" not in text
