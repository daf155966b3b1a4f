"""What `kaiwa bench engine` and `kaiwa bench server` have in common."""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from tools.bench.machine import (
    Limits,
    ModelShape,
    describe_machine,
    floor_tokens_per_second,
    measure_limits,
)
from tools.bench.models import SIZES, find_or_make
from tools.bench.report import Row, Run, write_report
from tools.bench.workload import Workload

_PATH = re.compile(r"(?<=[ =])/[^\s,']+")

Measure = Callable[[int], Sequence[Row]]
"""Measures one engine in the round of this number."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that both take."""
    option = parser.add_argument
    option(
        "--model",
        default="s",
        help=f"a checkpoint's folder, or one of {', '.join(SIZES)}: random weights, made at "
        "their first use in build/ (%(default)s)",
    )
    option("--streams", type=_numbers, default="1,4,16,32", help="concurrencies (%(default)s)")
    option("--prompt-tokens", type=_number, default=256, help="(%(default)s)")
    option("--shared-tokens", type=int, default=192, help="that all begin with (%(default)s)")
    option("--output-tokens", type=_number, default=64, help="(%(default)s)")
    option("--requests-per-stream", type=_number, default=3, help="(%(default)s)")
    option("--rounds", type=_number, default=2, help="alternating over the engines (%(default)s)")
    option("--int8", action="store_true", help="8-bit weights as well, where an engine has them")
    option("--report", type=Path, metavar="PATH", help="write PATH.md, PATH.json and PATH.svg")


def workload_of(options: argparse.Namespace, dtype: str) -> Workload:
    """Return what is to be asked; makes the checkpoint if need be.

    Raises:
        ValueError: More is shared than there is.
    """
    if not 0 <= options.shared_tokens < options.prompt_tokens:
        raise ValueError(
            f"--shared-tokens is {options.shared_tokens}; it must be from 0 to less than "
            f"--prompt-tokens, {options.prompt_tokens}"
        )
    return Workload(
        model=find_or_make(options.model),
        streams=tuple(options.streams),
        prompt_tokens=options.prompt_tokens,
        shared_tokens=options.shared_tokens,
        output_tokens=options.output_tokens,
        requests_per_stream=options.requests_per_stream,
        dtype=dtype,
    )


def run_all(
    engines: dict[str, Measure], workload: Workload, options: argparse.Namespace, argv: list[str]
) -> None:
    """Measure all engines in alternating rounds, print what was found, and write it."""
    rows: list[Row] = []
    console = Console(stderr=True)
    with Progress(console=console) as progress:
        task = progress.add_task("the machine's limits", total=options.rounds * len(engines))
        limits = measure_limits()
        for round_number in range(options.rounds):
            for name, measure in engines.items():
                progress.update(task, description=f"round {round_number + 1}: {name}")
                rows += measure(round_number)
                progress.advance(task)
    run = Run(
        command=shown(argv),
        machine={**describe_machine(), "limits": str(limits)},
        workload=asdict(workload),
        rounds=options.rounds,
        rows=rows,
        floor=_floor(workload, limits),
    )
    write_report(run, options.report)


def shown(argv: Sequence[str]) -> str:
    """Return the command as somebody else would type it, without this machine's paths."""
    return _PATH.sub("PATH", shlex.join(["kaiwa", "bench", *argv]))


def _floor(workload: Workload, limits: Limits) -> dict[int, float]:
    with contextlib.suppress(KeyError, OSError):  # a model of another structure has no floor here
        shape = ModelShape.of(Path(workload.model))
        return {s: floor_tokens_per_second(workload, s, shape, limits) for s in workload.streams}
    return {}


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _numbers(text: str) -> list[int]:
    return [_number(part) for part in text.split(",")]
