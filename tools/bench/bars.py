"""Bar charts as SVG: groups of bars, one bar per series. Needs the standard library only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH = 720
_HEIGHT, _LEFT, _BOTTOM, _RIGHT = 320, 56, 48, 16
_IN_A_ROW, _ENTRY = 3, 220
_TITLE = 22


@dataclass(frozen=True, slots=True)
class Bars:
    """One chart.

    Attributes:
        title: Of what it shows.
        groups: Labels below the groups, from the left.
        series: Names in the legend, in the order of a group's bars.
        values: By group and series, by their places; a missing one leaves a gap.
        colours: By place of the series.
        form: How a value is written.
        is_titled: Whether the title stands above the chart, not only in the file.
    """

    title: str
    groups: Sequence[str]
    series: Sequence[str]
    values: Mapping[tuple[int, int], float]
    colours: Sequence[str]
    form: Callable[[float], str] = "{:.0f}".format
    is_titled: bool = False

    @property
    def height(self) -> int:
        """Of the drawing."""
        return _HEIGHT + (_TITLE if self.is_titled else 0)


def draw(charts: Sequence[Bars], title: str) -> str:
    """Return a picture of charts below each other."""
    height = sum(chart.height for chart in charts)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="12" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    top = 0
    for chart in charts:
        parts += [f'<g transform="translate(0 {top})">', *_chart(chart), "</g>"]
        top += chart.height
    return "\n".join([*parts, "</svg>"])


def _chart(chart: Bars) -> list[str]:
    above = _TITLE if chart.is_titled else 0
    head = above + 24 + 18 * -(-len(chart.series) // _IN_A_ROW)
    floor = chart.height - _BOTTOM
    most = 1.1 * max(chart.values.values(), default=1.0) or 1.0
    group = (WIDTH - _LEFT - _RIGHT) / len(chart.groups)
    bar = group * 0.8 / len(chart.series)
    parts = _legend(chart, above)
    for tick in range(5):
        y = floor - (floor - head) * tick / 4
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}" stroke="#e5e7eb"/>')
        parts.append(
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"{chart.form(most * tick / 4)}</text>"
        )
    for (place, index), value in sorted(chart.values.items()):
        x = _LEFT + group * (place + 0.1) + bar * index
        y = floor - (floor - head) * value / most
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{bar - 3:.1f}" height="{floor - y:.1f}" '
            f'rx="2" fill="{chart.colours[index]}"/>'
        )
        parts.append(
            f'<text x="{x + bar / 2 - 1.5:.1f}" y="{y - 4:.1f}" text-anchor="middle" '
            f'font-size="10">{chart.form(value)}</text>'
        )
    for place, label in enumerate(chart.groups):
        middle = _LEFT + group * (place + 0.5)
        parts.append(
            f'<text x="{middle:.1f}" y="{floor + 18}" text-anchor="middle">{escape(label)}</text>'
        )
    return parts


def _legend(chart: Bars, above: int) -> list[str]:
    parts = []
    if chart.is_titled:
        parts.append(
            f'<text x="{_LEFT}" y="16" font-size="13" font-weight="600">'
            f"{escape(chart.title)}</text>"
        )
    for index, name in enumerate(chart.series):
        x, y = _LEFT + index % _IN_A_ROW * _ENTRY, above + 10 + 18 * (index // _IN_A_ROW)
        colour = chart.colours[index]
        parts.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x + 15}" y="{y + 9}">{escape(name)}</text>')
    return parts
