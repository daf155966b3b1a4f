"""Charts as inline SVG: lines over a grid, nothing loaded from anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from clients.replay.scales import Scale, written

COLOURS = ("#e0563b", "#3b7fe0", "#2e9e5b", "#a05bd0", "#d08a1e", "#5b6670", "#c23b8a", "#1ea0a8")
WIDTH = 520
_HEIGHT = 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 14, 44
_MAX_POINTS = 400
_SHADES = (1.0, 0.65, 0.45, 0.3)

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """One curve and what it is called.

    Attributes:
        name: For the legend; curves without a name are not in it.
        points: In order of x; where y is not a number, the curve is broken.
        colour: Counts through ``COLOURS``.
        dashed: For what was expected or offered, beside what was.
        shade: From 0, full, paler and paler; for curves that belong together.
        dots: Whether each point is marked, as measured values are that stand alone.
    """

    name: str
    points: Points
    colour: int = 0
    dashed: bool = False
    shade: int = 0
    dots: bool = False

    @property
    def paint(self) -> str:
        """Its colour, as CSS and SVG write it."""
        return COLOURS[self.colour % len(COLOURS)]

    @property
    def opacity(self) -> float:
        """How opaque it is."""
        return _SHADES[min(self.shade, len(_SHADES) - 1)]


@dataclass(frozen=True, slots=True)
class Mark:
    """A value on the x axis that a line across the chart points out."""

    x: float
    name: str
    colour: int = 5


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a legend: a stroke, or a filled area."""

    name: str
    paint: str
    dashed: bool = False
    opacity: float = 1.0
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing before it is put on a page or on a sheet.

    Attributes:
        title: What it shows.
        caption: How to read it.
        body: SVG elements; empty when there was nothing to draw.
        height: In units of which it is ``WIDTH`` wide.
        keys: The legend.
    """

    title: str
    caption: str
    body: str = ""
    height: float = _HEIGHT
    keys: tuple[Key, ...] = ()


def cumulative(values: Sequence[float]) -> list[tuple[float, float]]:
    """Return the points of a distribution function: value against the share at or below it."""
    ordered = sorted(values)
    count = len(ordered)
    stride = max(1, count // _MAX_POINTS)
    kept = [*range(0, count, stride), count - 1] if count else []
    return [(ordered[place], (place + 1) / count) for place in dict.fromkeys(kept)]


def thinned(points: Points) -> list[tuple[float, float]]:
    """Return at most some hundred points: of each stretch, the highest."""
    if len(points) <= _MAX_POINTS:
        return list(points)
    stride = len(points) / _MAX_POINTS
    return [
        max(points[int(n * stride) : max(int((n + 1) * stride), int(n * stride) + 1)], key=_height)
        for n in range(_MAX_POINTS)
    ]


def chart(
    title: str, x_label: str, y_label: str, lines: Sequence[Line], *, log_x: bool = False
) -> str:
    """Return one chart as a ``<figure>`` element; see ``plot``."""
    return figure(plot(title, x_label, y_label, lines, log_x=log_x))


def plot(
    title: str,
    x_label: str,
    y_label: str,
    lines: Sequence[Line],
    *,
    caption: str = "",
    log_x: bool = False,
    log_y: bool = False,
    marks: Sequence[Mark] = (),
) -> Picture:
    """Draw curves.

    Args:
        title: What they show.
        x_label: What lies along the x axis, with its unit.
        y_label: The same of the y axis.
        lines: Those without any point are left out.
        caption: How to read it.
        log_x: Whether the x axis is logarithmic.
        log_y: Whether the y axis is.
        marks: Values of x that are pointed out.
    """
    lines = [line for line in lines if any(math.isfinite(y) for _, y in line.points)]
    if not lines:
        return Picture(title, caption)
    xs = [x for line in lines for x, _ in line.points] + [mark.x for mark in marks]
    ys = [y for line in lines for _, y in line.points if math.isfinite(y)]
    across = Scale.over(min(xs), max(xs), _LEFT, WIDTH - _RIGHT, log=log_x)
    up = Scale.over(min(ys), max(ys), _HEIGHT - _BOTTOM, _TOP, log=log_y)
    parts = [*_grid(across, up), *axis_labels(x_label, y_label, _HEIGHT)]
    for mark in marks:
        parts.append(_mark(mark, across))
    for line in lines:
        parts.append(_curve(line, across, up))
    keys = tuple(Key(line.name, line.paint, line.dashed, line.opacity) for line in lines)
    return Picture(title, caption, "".join(parts), _HEIGHT, keys)


def figure(picture: Picture, *, nothing: str = "nothing to show") -> str:
    """Return a drawing as a ``<figure>`` element with its title, its legend and how to read it.

    Args:
        picture: The drawing.
        nothing: What is said of one that is empty.
    """
    title = escape(picture.title)
    if not picture.body:
        said = f"<small>{escape(nothing)}</small>"
        return f"<figure><figcaption><b>{title}</b>{said}</figcaption></figure>"
    caption = f"<small>{escape(picture.caption)}</small>" if picture.caption else ""
    legend = "".join(_legend(key) for key in picture.keys if key.name)
    return (
        f"<figure><figcaption><b>{title}</b>{caption}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {picture.height:g}" role="img" aria-label="{title}">'
        f'{picture.body}</svg><p class="legend">{legend}</p></figure>'
    )


def axis_labels(x_label: str, y_label: str, height: float) -> Iterable[str]:
    """Return what is written along the axes."""
    yield (
        f'<text x="{(_LEFT + WIDTH) / 2:g}" y="{height - 8:g}" text-anchor="middle">'
        f"{escape(x_label)}</text>"
    )
    if y_label:
        yield (
            f'<text transform="translate(14 {height / 2 - 12:g}) rotate(-90)" '
            f'text-anchor="middle">{escape(y_label)}</text>'
        )


def _grid(across: Scale, up: Scale) -> Iterable[str]:
    for y in up.ticks():
        place = up.place(y)
        yield (
            f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{place:.1f}" '
            f'y2="{place:.1f}"/><text x="{_LEFT - 6}" y="{place + 4:.1f}" '
            f'text-anchor="end">{written(y)}</text>'
        )
    for x in across.ticks():
        place = across.place(x)
        yield (
            f'<line class="grid" x1="{place:.1f}" x2="{place:.1f}" y1="{_TOP}" '
            f'y2="{_HEIGHT - _BOTTOM}"/><text x="{place:.1f}" y="{_HEIGHT - _BOTTOM + 16}" '
            f'text-anchor="middle">{written(x)}</text>'
        )


def _curve(line: Line, across: Scale, up: Scale) -> str:
    pieces: list[list[str]] = [[]]
    for x, y in line.points:
        if math.isfinite(y):
            pieces[-1].append(f"{across.place(x):.1f},{up.place(y):.1f}")
        elif pieces[-1]:
            pieces.append([])
    dashes = ' stroke-dasharray="5 4"' if line.dashed else ""
    look = f'stroke="{line.paint}" stroke-opacity="{line.opacity:g}"'
    drawn = [
        f'<polyline fill="none" {look} stroke-width="1.8" stroke-linejoin="round"{dashes} '
        f'points="{" ".join(piece)}"><title>{escape(line.name)}</title></polyline>'
        for piece in pieces
        if piece
    ]
    for piece in pieces:
        if line.dots or len(piece) == 1:  # a point alone has no length that could be seen
            drawn += [
                f'<circle cx="{x}" cy="{y}" r="2.6" fill="{line.paint}" '
                f'fill-opacity="{line.opacity:g}"/>'
                for x, _, y in (point.partition(",") for point in piece)
            ]
    return "".join(drawn)


def _mark(mark: Mark, across: Scale) -> str:
    place = across.place(mark.x)
    side = "end" if place > WIDTH / 2 else "start"
    paint = COLOURS[mark.colour % len(COLOURS)]
    return (
        f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" '
        f'stroke="{paint}" stroke-width="1.2" stroke-dasharray="2 3"/>'
        f'<text x="{place + (-5 if side == "end" else 5):.1f}" y="{_TOP + 10}" '
        f'text-anchor="{side}">{escape(mark.name)}</text>'
    )


def _legend(key: Key) -> str:
    kind = "dashed" if key.dashed else "solid"
    width = ".7rem" if key.filled else "3px"
    return (
        f'<span><i style="border-top:{width} {kind} {key.paint};opacity:{key.opacity:g}"></i>'
        f"{escape(key.name)}</span>"
    )


def _height(point: tuple[float, float]) -> float:
    return point[1]
