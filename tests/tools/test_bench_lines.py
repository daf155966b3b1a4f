"""Line charts."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tools.bench.lines import Lines, panel


def drawn(values: dict[tuple[int, int], float], *, is_log: bool = False) -> ElementTree.Element:
    """Two series over three places."""
    chart = Lines("a & b", "x", ["1", "2", "3"], values, ["#111111", "#222222"], is_log=is_log)
    return ElementTree.fromstring(f"<svg>{''.join(panel(chart, 400, 300))}</svg>")


def dots(root: ElementTree.Element, colour: str) -> list[tuple[float, float]]:
    """Where the points of a series are."""
    found = [dot for dot in root.iter("circle") if dot.get("fill") == colour]
    return [(float(dot.get("cx", 0)), float(dot.get("cy", 0))) for dot in found]


def test_points_are_as_high_as_their_values() -> None:
    """On one scale from nothing; what is missing has no point."""
    root = drawn({(0, 0): 10.0, (0, 1): 20.0, (0, 2): 30.0, (1, 2): 30.0})
    (x1, y1), (x2, y2), (x3, y3) = dots(root, "#111111")
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
    assert y1 - y2 == pytest.approx(y2 - y3, abs=0.2)
    assert dots(root, "#222222") == [(x3, y3)]


def test_a_logarithmic_scale_has_equal_steps_for_equal_factors() -> None:
    """Between powers of ten."""
    root = drawn({(0, 0): 0.2, (0, 1): 2.0, (0, 2): 20.0}, is_log=True)
    (_, y1), (_, y2), (_, y3) = dots(root, "#111111")
    assert y1 - y2 == pytest.approx(y2 - y3, abs=0.2)
    assert {"0", "1", "10", "100"} <= {text.text for text in root.iter("text")}


@pytest.mark.parametrize("most", [0.4, 1.0, 7.0, 33.0, 999.0, 1000.0])
def test_the_scale_reaches_the_largest_value(most: float) -> None:
    """With three to eleven steps, and no point above the chart."""
    root = drawn({(0, 0): most})
    ((_, y),) = dots(root, "#111111")
    assert y >= 29.9
    assert 4 <= len(list(root.iter("path"))) <= 12


def test_nothing_to_show_is_an_empty_chart() -> None:
    """Not an error."""
    assert dots(drawn({}), "#111111") == dots(drawn({}, is_log=True), "#111111") == []
