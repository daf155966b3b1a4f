"""Bar charts."""

from __future__ import annotations

from xml.etree import ElementTree

from tools.bench.bars import Bars, draw

SVG = "{http://www.w3.org/2000/svg}"


def bars(values: dict[tuple[int, int], float]) -> Bars:
    """Two groups of two."""
    return Bars("speed & more", ["a", "b"], ["x", "y"], values, ["#111111", "#222222"])


def heights(svg: str, colour: str) -> list[float]:
    """Of the bars of a colour; legends have one too, of 10."""
    found = ElementTree.fromstring(svg).iter(f"{SVG}rect")
    tall = [float(rect.get("height", 0)) for rect in found if rect.get("fill") == colour]
    return [height for height in tall if height != 10]


def test_bars_are_as_tall_as_their_values() -> None:
    """In one chart they share a scale; what is missing leaves a gap."""
    svg = draw([bars({(0, 0): 10.0, (0, 1): 5.0, (1, 1): 2.5})], "speed & more")
    (first,), (second, third) = heights(svg, "#111111"), heights(svg, "#222222")
    assert abs(first / second - 2) < 0.01
    assert abs(second / third - 2) < 0.01


def test_charts_lie_below_each_other() -> None:
    """One picture, as tall as all of them."""
    chart = bars({(0, 0): 1.0})
    root = ElementTree.fromstring(draw([chart, chart], "both"))
    assert root.get("viewBox") == f"0 0 720 {2 * chart.height}"
    assert len(root.findall(f"{SVG}g")) == 2
