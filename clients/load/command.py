"""``kaiwa replay``: plays a workload against servers, and reports what listeners felt."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from clients.load.line import UnreadyTarget
from clients.load.live_run import play_live
from clients.load.options import parse
from clients.load.rates import check_rates, runs_of
from clients.load.targets import Target, read_targets
from clients.python.connecting import trust
from clients.python.errors import ClientError
from clients.replay.arrival_plan import ArrivalPlan, arranged, offered_rate
from clients.replay.metrics import Figures, Targets, figures
from clients.replay.page import write_report
from clients.replay.png import check_png
from clients.replay.presets import PRESETS
from clients.replay.prompt_texts import PromptTexts
from clients.replay.records import RunRecord
from clients.replay.script import ScriptError, Session, fitted, resized
from clients.replay.table import SideBySide
from clients.replay.texts import make_texts
from clients.replay.traces.read import read_trace

EXIT_UNUSABLE = 1
EXIT_INVALID = 3
Simulate = Callable[[list[Session], argparse.Namespace, str], RunRecord]


def main(argv: Sequence[str], simulate: Simulate | None = None) -> int:
    """Run ``kaiwa replay`` with these arguments and return the exit code.

    Args:
        argv: Behind the command's name.
        simulate: Plays on the simulator.
    """
    options = parse(argv)
    try:
        return _run(options, simulate)
    except ScriptError as error:
        _complain(str(error))
        return 2
    except (ClientError, UnreadyTarget) as error:
        _complain(str(error))
        return EXIT_UNUSABLE
    except KeyboardInterrupt:
        return 130


def _complain(sentence: str) -> None:
    print(f"kaiwa replay: {sentence}", file=sys.stderr)


def _run(options: argparse.Namespace, simulate: Simulate | None) -> int:
    if options.png:
        check_png()
    if options.ca_file is not None:
        trust(options.ca_file)
    targets = read_targets(options)
    has_simulator = any(target.kind == "simulator" for target in targets)
    if has_simulator and (simulate is None or options.arrivals.kind == "closed"):
        raise ScriptError("the simulator takes no closed arrivals; it never makes anybody wait")
    sessions = _sessions(options)
    check_rates(sessions, options)
    slo = Targets(options.ttft_slo, options.itl_slo, options.tpot_slo, options.e2e_slo)
    bench = _Bench(sessions, slo, options, simulate)
    bench.run(targets)
    measured = bench.measured
    title = Path(options.workload).name
    console = Console()
    console.print(SideBySide(measured, title))
    for verdict in bench.verdicts:
        console.print(verdict)
    if options.report is not None:
        about = {"command": shlex.join(["kaiwa", "replay", *options.argv]), "seed": options.seed}
        write_report(
            options.report,
            measured,
            title=f"Kaiwa: {title}",
            about=about,
            targets=slo,
            lang=options.lang,
            png=options.png,
        )
        console.print(f"{options.report / 'report.html'}")
    invalid = [f"{run.name}: {run.invalid}" for run, _ in measured if run.invalid]
    for sentence in (*bench.unusable, *invalid):
        _complain(sentence)
    return EXIT_UNUSABLE if bench.unusable else EXIT_INVALID if invalid else 0


class _Bench:
    """Makes the runs of one command, one after the other.

    Attributes:
        measured: The runs so far, with their figures.
        verdicts: What searches found.
        unusable: Of targets none of whose replies came, why.
    """

    def __init__(
        self,
        sessions: list[Session],
        slo: Targets,
        options: argparse.Namespace,
        simulate: Simulate | None,
    ) -> None:
        self.measured: list[tuple[RunRecord, Figures]] = []
        self.verdicts: list[str] = []
        self.unusable: list[str] = []
        self._sessions = sessions
        self._slo = slo
        self._options = options
        self._simulate = simulate
        self._source = PromptTexts(options.tokenizer)

    def run(self, targets: Sequence[Target]) -> None:
        """Make the runs of all rounds, and show how far they are."""
        rounds = self._options.rounds
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed} of {task.total} replies, {task.fields[note]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        ) as progress:
            for number, target in product(range(rounds), targets):
                label = target.name + (f" #{number + 1}" if rounds > 1 else "")
                once = partial(self._once, target, label, progress)
                first = len(self.measured)
                found = runs_of(self._sessions, self._options, once)
                if found:
                    self.verdicts.append(f"{label}: {found}")
                if why := _why_unusable([run for run, _ in self.measured[first:]]):
                    self.unusable.append(f"{label}: {why}")

    def _once(
        self,
        target: Target,
        label: str,
        progress: Progress,
        plan: ArrivalPlan,
        sessions: Sequence[Session],
        suffix: str,
    ) -> tuple[RunRecord, Figures]:
        options = self._options
        name = label + suffix
        ready = arranged(sessions, plan, seed=options.seed, time_scale=options.time_scale)
        if target.kind == "simulator":
            assert self._simulate is not None
            run = self._simulate(ready, options, target.url)
            run.name = name
        else:
            total = sum(len(session.turns) for session in ready)
            task = progress.add_task(name, total=total, note="making the words")
            texts = make_texts(ready, self._source)
            progress.remove_task(task)
            run = asyncio.run(play_live(ready, texts, target, plan, name, options, progress))
        run.offered_per_s = offered_rate(ready, plan)
        run.about |= {
            "prompt lengths": "exact" if self._source.is_exact else "estimated",
            "sessions": len(ready),
            "of the workload": len(self._sessions),
        }
        self.measured.append((run, figures(run, self._slo)))
        return self.measured[-1]


def _why_unusable(runs: Sequence[RunRecord]) -> str:
    """Say with what every single request failed; empty where one did not."""
    requests = [request for run in runs for request in run.requests]
    if any(request.finish != "error" or request.token_times_s for request in requests):
        return ""
    codes = sorted({request.error_code or "unknown" for request in requests})
    return f"every request failed ({', '.join(codes[:5])}); nothing is known of this target"


def _sessions(options: argparse.Namespace) -> list[Session]:
    preset = PRESETS.get(options.workload)
    path = Path(options.workload)
    if preset is not None and not path.exists():
        sessions = preset.make(options.limit or preset.sessions, options.seed)
    elif path.exists():
        sessions = read_trace(path, limit=options.limit, note=_complain)
    else:
        known = ", ".join(PRESETS)
        raise ScriptError(f"{options.workload} is neither a file nor one of {known}")
    if options.lengths != 1:
        sessions = resized(sessions, options.lengths)
    if options.max_context is not None:
        sessions = fitted(sessions, options.max_context)
    if not sessions:
        raise ScriptError(f"no session of {options.workload} fits into --max-context")
    return sessions
