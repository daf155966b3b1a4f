"""The report as one page that opens anywhere: the table, curves and timelines of all runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from clients.replay.charts import Line, chart, cumulative, thinned
from clients.replay.figures.timings import gaps
from clients.replay.metrics import Figures, as_json
from clients.replay.records import RunRecord, as_rows
from clients.replay.table import LINES

Measured = Sequence[tuple[RunRecord, Figures]]

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2024;--paper:#fff;--line:#d8dde2;--soft:#60676e}
@media (prefers-color-scheme:dark){
:root{--ink:#e8eaec;--paper:#15181b;--line:#33393f;--soft:#9aa2aa}}
body{margin:2rem auto;max-width:75rem;padding:0 1rem;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}
th,td{padding:.2rem .8rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--paper)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(24rem,1fr));gap:1rem}
figure{margin:0;border:1px solid var(--line);border-radius:8px;padding:.6rem}
figcaption{font-weight:600}svg{width:100%;height:auto}
svg text{fill:var(--soft);font-size:11px}.grid{stroke:var(--line);stroke-width:.6}
.legend{margin:.2rem 0 0;color:var(--soft);font-size:.85rem}
.legend span{margin-right:1rem;white-space:nowrap}
.legend i{display:inline-block;width:1.4rem;margin-right:.3rem;vertical-align:middle}
"""


def write_report(folder: Path, measured: Measured, *, title: str, about: dict[str, Any]) -> None:
    """Write ``summary.json``, ``requests.jsonl`` and ``report.html``.

    Args:
        folder: Made if need be; files of an earlier report are replaced.
        measured: Runs and their figures.
        title: Of the page.
        about: Seed, settings, versions: whatever it takes to do it again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    summary = {
        "title": title,
        "about": about,
        "runs": [
            {
                "name": run.name,
                "policy": run.policy,
                "load": run.load,
                "about": run.about,
                "figures": as_json(figures),
            }
            for run, figures in measured
        ],
    }
    text = json.dumps(summary, indent=1, allow_nan=False)
    (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
    with (folder / "requests.jsonl").open("w", encoding="utf-8") as file:
        for run, _ in measured:
            for row in as_rows(run.requests):
                file.write(json.dumps({"run": run.name} | row) + "\n")
    (folder / "report.html").write_text(_page(measured, title, about), encoding="utf-8")


def _page(measured: Measured, title: str, about: dict[str, Any]) -> str:
    settings = "".join(
        f"<tr><td>{escape(str(key))}</td><td>{escape(str(value))}</td></tr>"
        for key, value in about.items()
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>"
        f'<div class="scroll">{_table(measured)}</div>'
        f'<h2>What listeners felt</h2><div class="charts">{"".join(_felt(measured))}</div>'
        f'<h2>What the engine did</h2><div class="charts">{"".join(_did(measured))}</div>'
        f'<h2>How to do it again</h2><div class="scroll"><table>{settings}</table></div></html>\n'
    )


def _table(measured: Measured) -> str:
    head = "".join(f"<th>{escape(run.name)}</th>" for run, _ in measured)
    rows = "".join(
        f"<tr><td>{escape(name)}</td>"
        + "".join(f"<td>{escape(cell(figures))}</td>" for _, figures in measured)
        + "</tr>"
        for name, cell in LINES
    )
    return f"<table><tr><th></th>{head}</tr>{rows}</table>"


def _felt(measured: Measured) -> list[str]:
    ttft, itl, over_time = [], [], []
    for colour, (run, _) in enumerate(measured):
        waits = [1e3 * r.ttft_s for r in run.requests if r.ttft_s is not None]
        ttft.append(Line(run.name, cumulative(waits), colour))
        between = [1e3 * gap for request in run.requests for gap in gaps(request)]
        itl.append(Line(run.name, cumulative(between), colour))
        sent = sorted((r.sent_s, 1e3 * r.ttft_s) for r in run.requests if r.ttft_s is not None)
        over_time.append(Line(run.name, thinned(sent), colour))
    return [
        chart("Time to the first token", "ms", "share of replies", ttft, log_x=True),
        chart("Gap between tokens", "ms", "share of gaps", itl, log_x=True),
        chart("Time to the first token, by when it was asked", "s", "ms", over_time),
    ]


def _did(measured: Measured) -> list[str]:
    batch, kv, waiting = [], [], []
    for colour, (run, _) in enumerate(measured):
        steps = run.steps
        batch.append(Line(run.name, thinned([(s.time_s, s.num_running) for s in steps]), colour))
        waiting.append(Line(run.name, thinned([(s.time_s, s.num_waiting) for s in steps]), colour))
        used = [(s.time_s, 100.0 * s.kv_used / max(s.kv_total, 1)) for s in steps]
        kv.append(Line(run.name, thinned(used), colour))
    return [
        chart("Sequences in the batch", "s", "sequences", batch),
        chart("Requests in the queue", "s", "requests", waiting),
        chart("KV blocks held by live requests", "s", "% of the budget", kv),
    ]
