"""Timelines as inline SVG: one row for each listener, and what happened to them when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from clients.replay.charts import WIDTH, Key, Picture, axis_labels
from clients.replay.scales import Scale, written

_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 8, 40
_MOST_ROW, _LEAST_ROW, _ALL_ROWS = 14.0, 7.0, 420.0
_MOST_NAME = 10


@dataclass(frozen=True, slots=True)
class Kind:
    """What a bar or a dot stands for.

    Attributes:
        name: For the legend.
        paint: A colour.
        opacity: Of the colour.
        share: Of the row's height that a bar has.
        is_dot: Whether it marks a moment instead of a stretch.
    """

    name: str
    paint: str
    opacity: float = 1.0
    share: float = 0.75
    is_dot: bool = False


@dataclass(slots=True)
class Row:
    """One listener.

    Attributes:
        name: Written beside it, shortened.
        bars: Kind, begin and end in seconds; later ones lie on top, by the order of the kinds.
        dots: Kind and moment.
    """

    name: str
    bars: list[tuple[str, float, float]] = field(default_factory=list)
    dots: list[tuple[str, float]] = field(default_factory=list)


def timeline(
    title: str, x_label: str, rows: Sequence[Row], kinds: Mapping[str, Kind], *, caption: str = ""
) -> Picture:
    """Draw rows; stretches that the eye could not tell apart are drawn as one.

    Args:
        title: What they show.
        x_label: What lies along the x axis, with its unit.
        rows: From top to bottom.
        kinds: Of bars and dots, by the names that rows use; those that never occur are left out
            of the legend.
        caption: How to read it.
    """
    ends = [end for row in rows for _, _, end in row.bars]
    ends += [moment for row in rows for _, moment in row.dots]
    if not ends:
        return Picture(title, caption)
    pitch = min(_MOST_ROW, max(_LEAST_ROW, _ALL_ROWS / len(rows)))
    bottom = _TOP + pitch * len(rows)
    across = Scale.over(0.0, max(ends), _LEFT, WIDTH - _RIGHT, log=False)
    parts = [
        f'<line class="grid" x1="{across.place(x):.1f}" x2="{across.place(x):.1f}" y1="{_TOP}" '
        f'y2="{bottom:.1f}"/><text x="{across.place(x):.1f}" y="{bottom + 15:.1f}" '
        f'text-anchor="middle">{written(x)}</text>'
        for x in across.ticks()
    ]
    bars: dict[str, list[str]] = defaultdict(list)
    dots: dict[str, list[str]] = defaultdict(list)
    for number, row in enumerate(rows):
        middle = _TOP + pitch * (number + 0.5)
        parts.append(
            f'<text class="row" x="{_LEFT - 5}" y="{middle + 3:.1f}" text-anchor="end">'
            f"{escape(_short(row.name))}</text>"
        )
        for name in kinds:
            spans = [(begin, end) for kind, begin, end in row.bars if kind == name]
            bars[name] += [
                f"M{begin:.1f} {middle:.1f}h{max(end - begin, 0.4):.1f}"
                for begin, end in _merged(spans, across)
            ]
            dots[name] += [
                f'<circle cx="{across.place(moment):.1f}" cy="{middle:.1f}" '
                f'r="{pitch * 0.28:.1f}"/>'
                for kind, moment in row.dots
                if kind == name
            ]
    for name, look in kinds.items():
        if bars[name]:
            parts.append(
                f'<path fill="none" stroke="{look.paint}" stroke-opacity="{look.opacity:g}" '
                f'stroke-width="{pitch * look.share:.1f}" d="{"".join(bars[name])}"/>'
            )
    for name, look in kinds.items():
        if dots[name]:
            parts.append(f'<g fill="{look.paint}" stroke="none">{"".join(dots[name])}</g>')
    parts += axis_labels(x_label, "", bottom + _BOTTOM)
    keys = tuple(
        Key(look.name, look.paint, opacity=look.opacity, filled=True)
        for name, look in kinds.items()
        if bars[name] or dots[name]
    )
    return Picture(title, caption, "".join(parts), bottom + _BOTTOM, keys)


def _merged(spans: list[tuple[float, float]], across: Scale) -> list[tuple[float, float]]:
    """Return where stretches are drawn; neighbours less than half a unit apart become one."""
    merged: list[tuple[float, float]] = []
    for begin_s, end_s in sorted(spans):
        begin, end = across.place(begin_s), across.place(end_s)
        if merged and begin - merged[-1][1] < 0.5:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


def _short(name: str) -> str:
    return name if len(name) <= _MOST_NAME else "…" + name[1 - _MOST_NAME :]
