"""``kaiwa compare``: whether a run is better or worse than another, and how sure that is."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from clients.replay.bootstrap import CONFIDENCE, LEAST_SESSIONS, RESAMPLES
from clients.replay.comparison import METRICS, Compared, Metric, compare
from clients.replay.metrics import Targets
from clients.replay.records import RunRecord
from clients.replay.saved_runs import read_report, read_targets
from clients.replay.script import ScriptError

_EPILOG = f"""\
metrics:
  {", ".join(metric.name for metric in METRICS)}

Runs are paired by their names; two reports of one run each are compared whatever the names are.
A change is relative to A. Its interval is a percentile bootstrap: {RESAMPLES:,} draws of whole
sessions, of which {100 * CONFIDENCE:.0f} % lie within (more, with few sessions); where both runs
have the same sessions, both draw the same ones. "unclear" is where it holds 0, or where there is
none: it takes {LEAST_SESSIONS} sessions in each run.

exit codes: 0 no regression, 1 a metric is worse and its whole interval lies beyond the allowance,
2 wrong usage or a report that cannot be read

examples:
  kaiwa compare build/main build/branch
  kaiwa compare before after --metric ttft_p99,itl_p99 --max-regression 10% --json change.json
"""

_LOOKS = {"better": "green", "worse": "yellow", "regression": "bold red"}


def main(argv: Sequence[str]) -> int:
    """Run ``kaiwa compare`` with these arguments and return the exit code."""
    options = _parse(argv)
    try:
        return _run(options)
    except (ScriptError, OSError) as error:
        print(f"kaiwa compare: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    before, after = _runs(options.before), _runs(options.after)
    targets = read_targets(options.before)
    if targets != read_targets(options.after):
        print(
            "kaiwa compare: the reports have different targets; goodput and QoE of both are "
            "measured against those of A",
            file=sys.stderr,
        )
    console = Console()
    rows: list[dict[str, Any]] = []
    regressed = False
    for first, second in pairs(before, after):
        with console.status(f"{second.name}: drawing sessions"):
            compared = _compared(first, second, options, targets)
        console.print(_table(first, second, compared))
        if min(_num_sessions(first), _num_sessions(second)) < LEAST_SESSIONS:
            print(
                f"kaiwa compare: {second.name}: fewer than {LEAST_SESSIONS} sessions in a run; no "
                "change is sure, and none counts as a regression",
                file=sys.stderr,
            )
        regressed = regressed or any(one.verdict == "regression" for one in compared)
        rows.append({"a": first.name, "b": second.name, "metrics": [_row(c) for c in compared]})
    if options.json is not None:
        report = {
            "max_regression": options.max_regression,
            "seed": options.seed,
            "regressed": regressed,
            "runs": rows,
        }
        text = json.dumps(report, indent=1, allow_nan=False, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")
    allowed = f"{100 * options.max_regression:g} %"
    console.print(
        f"[bold red]a metric is worse by more than {allowed}[/]"
        if regressed
        else f"nothing is worse by more than {allowed}, as far as these runs can tell"
    )
    return 1 if regressed else 0


def pairs(
    before: Mapping[str, RunRecord], after: Mapping[str, RunRecord]
) -> list[tuple[RunRecord, RunRecord]]:
    """Return which runs are compared: those of one name, or the only ones.

    Raises:
        ScriptError: No name is in both.
    """
    common = [name for name in before if name in after]
    if common:
        return [(before[name], after[name]) for name in common]
    if len(before) == len(after) == 1:
        return [(next(iter(before.values())), next(iter(after.values())))]
    raise ScriptError(
        f"no run of A ({', '.join(before)}) has the name of one of B ({', '.join(after)}); "
        "give both the same names, or compare reports of one run each"
    )


def _runs(folder: Path) -> dict[str, RunRecord]:
    return {run.name: run for run, _ in read_report(folder)}


def _num_sessions(run: RunRecord) -> int:
    return len({request.session_id for request in run.requests})


def _compared(
    first: RunRecord, second: RunRecord, options: argparse.Namespace, targets: Targets
) -> list[Compared]:
    for run in (first, second):
        if run.invalid:
            raise ScriptError(f"the run {run.name!r} does not count: {run.invalid}")
    return compare(
        first,
        second,
        options.metric,
        targets=targets,
        max_regression=options.max_regression,
        seed=options.seed,
    )


def _table(first: RunRecord, second: RunRecord, compared: Sequence[Compared]) -> Table:
    name = first.name if first.name == second.name else f"{first.name} → {second.name}"
    table = Table(title=name, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("metric", no_wrap=True)
    for column in ("A", "B", "change", f"{100 * CONFIDENCE:.0f} % interval"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for one in compared:
        metric, change = one.metric, one.change
        interval = "–"
        if not math.isnan(change.low):
            interval = f"{_percent(change.low)} … {_percent(change.high)}"
        table.add_row(
            f"{metric.name} {metric.unit}".strip(),
            _number(change.before),
            _number(change.after),
            _percent(change.relative),
            interval,
            "unclear" if one.verdict == "no clear difference" else one.verdict,
            style=_LOOKS.get(one.verdict),
        )
    return table


def _row(one: Compared) -> dict[str, Any]:
    change = one.change
    values = {
        "a": change.before,
        "b": change.after,
        "change": change.relative,
        "low": change.low,
        "high": change.high,
    }
    finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
    return {"metric": one.metric.name, "unit": one.metric.unit, "verdict": one.verdict} | finite


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _percent(share: float) -> str:
    if math.isnan(share):
        return "–"
    if math.isinf(share):
        return "+∞" if share > 0 else "-∞"
    return f"{100 * share:+.{0 if abs(share) >= 1 else 1}f} %"


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="kaiwa compare",
        description="Set two reports against each other: what changed, and how sure that is.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option("before", metavar="A", type=Path, help="folder of the report to compare with")
    option("after", metavar="B", type=Path, help="folder of the report to judge")
    option(
        "--metric",
        type=_metrics,
        default=list(METRICS),
        metavar="NAME,…",
        help="some of the metrics below; all if none",
    )
    option(
        "--max-regression",
        type=_allowance,
        default="5%",
        metavar="SHARE",
        help="change for the worse that is allowed, as 5%% or 0.05 (%(default)s)",
    )
    option("--seed", type=_seed, default=0, metavar="N", help="of the draws (%(default)s)")
    option("--json", type=Path, metavar="FILE", help="write the figures here as well")
    return parser.parse_args(argv)


def _metrics(text: str) -> list[Metric]:
    known = {metric.name: metric for metric in METRICS}
    for name in text.split(","):
        if name not in known:
            names = ", ".join(known)
            raise argparse.ArgumentTypeError(f"{name!r:.40} is no metric; there are {names}")
    return [known[name] for name in dict.fromkeys(text.split(","))]


def _allowance(text: str) -> float:
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 100:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is no share from 0 on, such as 5% or 0.05")
    return share


def _seed(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a whole number from 0 on")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
