"""Charts as inline SVG: lines over a grid, nothing loaded from anywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#e0563b", "#3b7fe0", "#2e9e5b", "#a05bd0", "#d08a1e", "#5b6670", "#c23b8a", "#1ea0a8")
_WIDTH, _HEIGHT = 560, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 40
_MAX_POINTS = 400

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """One curve and what it is called; ``colour`` counts through ``COLOURS``."""

    name: str
    points: Points
    colour: int = 0
    dashed: bool = False


def cumulative(values: Sequence[float]) -> list[tuple[float, float]]:
    """Return the points of a distribution function: value against the share at or below it."""
    ordered = sorted(values)
    count = len(ordered)
    stride = max(1, count // _MAX_POINTS)
    kept = [*range(0, count, stride), count - 1] if count else []
    return [(ordered[place], (place + 1) / count) for place in dict.fromkeys(kept)]


def chart(
    title: str, x_label: str, y_label: str, lines: Sequence[Line], *, log_x: bool = False
) -> str:
    """Return one chart as an ``<svg>`` element, with a table of its numbers' ends for readers."""
    lines = [line for line in lines if line.points]
    if not lines:
        return f"<figure><figcaption>{escape(title)}: nothing to show</figcaption></figure>"
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    least_x = max(min(xs), 1e-4) if log_x else min(0.0, *xs)
    most_x = max(*xs, least_x * 1.001 if log_x else least_x + 1e-9)
    most_y = max(*ys, 1e-9)

    def place_x(x: float) -> float:
        if log_x:
            share = math.log(max(x, least_x) / least_x) / math.log(most_x / least_x)
        else:
            share = (x - least_x) / (most_x - least_x)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def place_y(y: float) -> float:
        return _HEIGHT - _BOTTOM - y / most_y * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'role="img" aria-label="{escape(title)}">'
    ]
    for y in _ticks(most_y):
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{place_y(y):.1f}" '
            f'y2="{place_y(y):.1f}"/><text x="{_LEFT - 6}" y="{place_y(y) + 4:.1f}" '
            f'text-anchor="end">{_number(y)}</text>'
        )
    for x in (
        _decades(least_x, most_x) if log_x else [least_x + t for t in _ticks(most_x - least_x)]
    ):
        parts.append(
            f'<line class="grid" x1="{place_x(x):.1f}" x2="{place_x(x):.1f}" y1="{_TOP}" '
            f'y2="{_HEIGHT - _BOTTOM}"/><text x="{place_x(x):.1f}" y="{_HEIGHT - _BOTTOM + 15}" '
            f'text-anchor="middle">{_number(x)}</text>'
        )
    for line in lines:
        path = " ".join(f"{place_x(x):.1f},{place_y(y):.1f}" for x, y in line.points)
        dashes = ' stroke-dasharray="5 4"' if line.dashed else ""
        colour = COLOURS[line.colour % len(COLOURS)]
        parts.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.8"{dashes} points="{path}">'
            f"<title>{escape(line.name)}</title></polyline>"
        )
    parts.append(
        f'<text x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">'
        f'{escape(x_label)}</text><text transform="translate(12 {_HEIGHT / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_label)}</text></svg><p class="legend">'
    )
    for line in lines:
        colour = COLOURS[line.colour % len(COLOURS)]
        kind = "dashed" if line.dashed else "solid"
        parts.append(
            f'<span><i style="border-top:3px {kind} {colour}"></i>{escape(line.name)}</span>'
        )
    return "".join(parts) + "</p></figure>"


def thinned(points: Points) -> list[tuple[float, float]]:
    """Return at most some hundred points: of each stretch, the highest."""
    if len(points) <= _MAX_POINTS:
        return list(points)
    stride = len(points) / _MAX_POINTS
    return [
        max(points[int(n * stride) : max(int((n + 1) * stride), int(n * stride) + 1)], key=_height)
        for n in range(_MAX_POINTS)
    ]


def _height(point: tuple[float, float]) -> float:
    return point[1]


def _ticks(most: float) -> list[float]:
    """Return round values from 0 to ``most``, four to eight of them."""
    if most <= 0:
        return [0.0]
    step = 10.0 ** math.floor(math.log10(most / 4))
    for factor in (1, 2, 5, 10):
        if most / (step * factor) <= 7:
            step *= factor
            break
    return [number * step for number in range(int(most / step + 1e-9) + 1)]


def _decades(least: float, most: float) -> list[float]:
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    values = [10.0**power for power in range(first, last + 1)]
    return [value for value in values if least <= value <= most]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
