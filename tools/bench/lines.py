"""Line charts as SVG: one line per series over a few places. Needs the standard library only."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 30, 40


@dataclass(frozen=True, slots=True)
class Lines:
    """One chart.

    Attributes:
        title: Above the chart.
        x_label: Below it.
        places: Labels along the bottom, evenly apart.
        values: By series and place, by their numbers; a missing one breaks the line.
        colours: By number of the series.
        form: How a value is written.
        is_log: Whether each step upwards is ten times the one before.
    """

    title: str
    x_label: str
    places: Sequence[str]
    values: Mapping[tuple[int, int], float]
    colours: Sequence[str]
    form: Callable[[float], str] = "{:.0f}".format
    is_log: bool = False


def panel(chart: Lines, width: float, height: float) -> list[str]:
    """Return the parts of one chart, to stand in a group of a picture."""
    ticks = _ticks([value for value in chart.values.values() if value > 0], is_log=chart.is_log)
    low, high = ticks[0], ticks[-1]
    floor = height - _BOTTOM

    def x_of(place: int) -> float:
        return _LEFT + (place + 0.5) * (width - _LEFT - _RIGHT) / len(chart.places)

    def y_of(value: float) -> float:
        if chart.is_log:
            share = math.log(max(value, low) / low) / math.log(high / low)
        else:
            share = (value - low) / (high - low)
        return floor - share * (floor - _TOP)

    parts = [
        f'<text x="{_LEFT}" y="16" font-size="13" font-weight="600">{escape(chart.title)}</text>',
        f'<text x="{(_LEFT + width - _RIGHT) / 2:.1f}" y="{height - 6}" text-anchor="middle" '
        f'fill="#475569">{escape(chart.x_label)}</text>',
    ]
    for tick in ticks:
        parts.append(f'<path d="M{_LEFT} {y_of(tick):.1f}H{width - _RIGHT:.1f}" stroke="#e5e7eb"/>')
        parts.append(
            f'<text x="{_LEFT - 6}" y="{y_of(tick) + 4:.1f}" text-anchor="end">'
            f"{chart.form(tick)}</text>"
        )
    for place, label in enumerate(chart.places):
        parts.append(
            f'<text x="{x_of(place):.1f}" y="{floor + 16}" text-anchor="middle">'
            f"{escape(label)}</text>"
        )
    for series, colour in enumerate(chart.colours):
        points = [
            (x_of(place), y_of(chart.values[series, place]))
            for place in range(len(chart.places))
            if (series, place) in chart.values
        ]
        if points:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(
                f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    return parts


def _ticks(values: Sequence[float], *, is_log: bool) -> list[float]:
    """Return rising values that hold all others between the first and the last."""
    if not values:
        return [0.0, 1.0] if not is_log else [1.0, 10.0]
    if is_log:
        first = math.floor(math.log10(min(values)))
        last = max(first + 1, math.ceil(math.log10(max(values))))
        return [10.0**power for power in range(first, last + 1)]
    step = 10.0 ** math.floor(math.log10(max(values)))
    step /= next(part for part in (1, 2, 5) if max(values) / (step / part) >= 3 or part == 5)
    return [step * number for number in range(math.ceil(max(values) / step - 1e-9) + 1)]
