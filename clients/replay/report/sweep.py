"""From rate to rate: what a target makes of it, and where it stops to keep up."""

from __future__ import annotations

from collections.abc import Mapping

from clients.replay.charts import Line, Mark, Picture, plot
from clients.replay.knee import RatePoint, knee
from clients.replay.metrics import Figures
from clients.replay.report.paints import Measured


def sweep(measured: Measured, words: Mapping[str, str]) -> list[Picture]:
    """Draw goodput and TTFT against the offered rate.

    Args:
        measured: Runs and their figures. Those that say what they were offered and count form one
            curve for each target and policy; a curve has at least two rates.
        words: Of ``report.words``.

    Returns:
        No picture where there is no curve.
    """
    curves = _curves(measured)
    if not curves:
        return []
    goodput, ttft, marks = [], [], []
    for colour, (name, points) in enumerate(curves.items()):
        good = [(rate, figures.goodput_per_s) for rate, figures in points]
        goodput.append(Line(name, good, colour, dots=True))
        waits = [(rate, 1e3 * figures.ttft_s.at(99)) for rate, figures in points]
        ttft.append(Line(name, waits, colour, dots=True))
        found = knee([RatePoint(rate, f.goodput_per_s, f.goodput_share) for rate, f in points])
        label = f"{name}: " if len(curves) > 1 else ""
        if found.kept_per_s is not None:
            marks.append(
                Mark(found.kept_per_s, f"{label}{words['knee']} {found.kept_per_s:.3g}/s", colour)
            )
        if found.bend_per_s is not None and found.bend_per_s != found.kept_per_s:
            marks.append(
                Mark(found.bend_per_s, f"{label}{words['bend']} {found.bend_per_s:.3g}/s", colour)
            )
    most = max(rate for points in curves.values() for rate, _ in points)
    goodput.append(Line(words["all good"], [(0.0, 0.0), (most, most)], 5, dashed=True))
    rate = words["offered per second"]
    return [
        plot(
            words["sweep.goodput"],
            rate,
            words["replies per second"],
            goodput,
            caption=words["sweep.goodput.how"],
            marks=marks,
        ),
        plot(
            words["sweep.ttft"],
            rate,
            words["ms"],
            ttft,
            caption=words["sweep.ttft.how"],
            log_y=True,
            marks=marks,
        ),
    ]


def _curves(measured: Measured) -> dict[str, list[tuple[float, Figures]]]:
    several = len({run.target for run, _ in measured}) > 1
    curves: dict[str, list[tuple[float, Figures]]] = {}
    for run, figures in measured:
        if run.offered_per_s is not None and not run.invalid:
            name = " ".join(filter(None, [run.target if several else "", run.policy]))
            curves.setdefault(name or run.target, []).append((run.offered_per_s, figures))
    return {
        name: sorted(points, key=lambda point: point[0])
        for name, points in curves.items()
        if len({rate for rate, _ in points}) > 1
    }
