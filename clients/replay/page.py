"""The report as one page that opens anywhere: the table, curves and timelines of all runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from clients.replay.charts import Picture, figure
from clients.replay.metrics import Targets
from clients.replay.png import write_png
from clients.replay.records import RunRecord
from clients.replay.report.engine import engine
from clients.replay.report.felt import felt
from clients.replay.report.over_time import over_time
from clients.replay.report.paints import Measured, Paint, paints
from clients.replay.report.row_words import japanese
from clients.replay.report.sessions import sessions
from clients.replay.report.style import STYLE
from clients.replay.report.sweep import sweep
from clients.replay.report.words import words
from clients.replay.saved_runs import write_runs
from clients.replay.table import groups
from clients.surroundings import surroundings

_TARGETS = Targets()


def write_report(
    folder: Path,
    measured: Measured,
    *,
    title: str,
    about: dict[str, Any],
    targets: Targets = _TARGETS,
    lang: str = "en",
    png: bool = False,
) -> None:
    """Write ``report.html`` and the files of ``saved_runs``, and ``report.png`` if wanted.

    Args:
        folder: Made if need be; files of an earlier report are replaced.
        measured: Runs and their figures.
        title: Of the page.
        about: Seed, command, settings: whatever it takes to do it again. Versions and the machine
            are added.
        targets: What figures were measured against.
        lang: Of headings and captions, ``en`` or ``ja``.
        png: Whether the main charts are written as a picture as well.

    Raises:
        ScriptError: There is no such language, or what draws the picture is not installed.
    """
    page_of = words(lang)
    machine = surroundings()
    write_runs(folder, measured, title=title, about=about, machine=machine, targets=targets)
    text = page(measured, title, about | machine, page_of, lang)
    (folder / "report.html").write_text(text, encoding="utf-8", errors="replace")
    if png:
        pictures = _main_pictures(measured, page_of)
        write_png(folder / "report.png", [p for group in pictures for p in group[1]], title)


def page(
    measured: Measured, title: str, about: Mapping[str, Any], said: Mapping[str, str], lang: str
) -> str:
    """Return the page; it holds no script and names no other file.

    Args:
        measured: Runs and their figures.
        title: Its heading.
        about: What it takes to do it again.
        said: Of ``report.words``.
        lang: The language of ``said``.
    """
    body = [f"<h1>{escape(title)}</h1>"]
    body += [_banner(run, said) for run, _ in measured if run.invalid]
    body += [
        f"<h2>{escape(heading)}</h2>{_charts(pictures, said)}"
        for heading, pictures in _main_pictures(measured, said)
    ]
    body.append(f'<h2>{said["figures"]}</h2><div class="scroll">{_table(measured, lang)}</div>')
    body.append(f"<h2>{said['runs']}</h2>")
    body += [
        _run(run, paint, said, is_open=number == 0)
        for number, ((run, _), paint) in enumerate(zip(measured, paints(measured), strict=True))
    ]
    body.append(f"<h2>{said['again']}</h2>{_settings(about)}")
    return (
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _main_pictures(
    measured: Measured, said: Mapping[str, str]
) -> list[tuple[str, Sequence[Picture]]]:
    groups = [
        (said["felt"], felt(measured, said)),
        (said["sweep"], sweep(measured, said)),
        (said["engine"], engine(measured, said)),
    ]
    return [group for group in groups if group[1]]


def _run(run: RunRecord, paint: Paint, said: Mapping[str, str], *, is_open: bool) -> str:
    about = {"target": run.target, "policy": run.policy, "load": run.load} | run.about
    return (
        f"<details{' open' if is_open else ''}><summary>{escape(run.name)}</summary>"
        f"{_banner(run, said) if run.invalid else ''}"
        f"{_charts(over_time(run, paint, said), said)}{_charts(sessions(run, said), said)}"
        f"{_settings(about)}"
        "</details>"
    )


def _banner(run: RunRecord, said: Mapping[str, str]) -> str:
    return (
        f'<p class="alarm" role="alert"><b>{escape(run.name)}: {said["invalid"]}.</b> '
        f"{escape(run.invalid)}</p>"
    )


def _charts(pictures: Sequence[Picture], said: Mapping[str, str]) -> str:
    drawn = "".join(figure(picture, nothing=said["nothing"]) for picture in pictures)
    return f'<div class="charts">{drawn}</div>'


def _settings(about: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{escape(str(key).replace('_', ' '))}</td><td>{escape(str(value))}</td></tr>"
        for key, value in about.items()
        if value not in ("", None)
    )
    return f'<div class="scroll"><table class="about">{rows}</table></div>'


def _table(measured: Measured, lang: str) -> str:
    named: Callable[[str], str] = japanese if lang == "ja" else str
    head = "".join(
        f"<th>{'⚠ ' if run.invalid else ''}{escape(run.name)}</th>" for run, _ in measured
    )
    parts = []
    for group in groups([figures for _, figures in measured]):
        parts.append(
            f'<tr class="group"><td>{escape(named(group.title))}</td>'
            f'<td colspan="{len(measured)}"></td></tr>'
        )
        for name, cells in group.lines:
            values = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            parts.append(f"<tr><td>{escape(named(name))}</td>{values}</tr>")
    return f"<table><tr><th></th>{head}</tr>{''.join(parts)}</table>"
