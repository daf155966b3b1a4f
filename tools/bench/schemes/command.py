"""`kaiwa bench --policy`: the classic ways to serve a model in parallel, on one arrival trace.

threads share one model in eval mode; a pool lends instances; static batches wait until they are
full; dynamic batches also until their first request has waited; continuous batching, Kaiwa's
engine, lets requests join and leave at every step. All get the same requests at the same moments,
greedy, on the same weights. Each runs in a process of its own, and rounds alternate. The first four
are transformers' generate() and do not stream: their first token is there with the last.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import Progress

from tools.bench.alone import AloneFailed, run_alone
from tools.bench.command import shown
from tools.bench.machine import describe_machine, usual_dtype
from tools.bench.models import SIZES, find_or_make
from tools.bench.report import table_console
from tools.bench.schemes.plan import Plan
from tools.bench.schemes.report import WAYS, Row, Run, picture, table

_QUICK_RATES, _QUICK_REQUESTS = (4.0, 16.0), 6
_MOST_REQUESTS, _MOST_RATES, _MOST_RATE = 10_000, 16, 10_000.0
_ALONE_S = 1800.0
"""After so long a scheme is given up, with all that it started."""


def main(argv: list[str] | None = None) -> int:
    """Read the command line, measure, print, write; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    parser = _parser()
    options = parser.parse_args(arguments)
    model = find_or_make(options.model)
    if not (Path(model) / "config.json").is_file():
        parser.error(f"{model} has no config.json; name a checkpoint's folder, or a size")
    plan = Plan(
        model=model,
        dtype=options.dtype,
        rates=tuple(options.rates),
        requests=options.requests,
        seed=options.seed,
        cores=options.cores,
        workers=options.workers or options.cores,
        batch_size=options.batch_size,
        max_wait_s=options.max_wait_ms / 1000,
        kernels=options.kernels,
    )
    rounds = options.rounds
    if options.quick:
        plan, rounds = replace(plan, rates=_QUICK_RATES, requests=_QUICK_REQUESTS), 1
    try:
        rows = _measure_all(options.policy, plan, rounds)
    except AloneFailed as error:
        sys.stderr.write(f"kaiwa bench: {error}\n")
        return 1
    run = Run(
        command=shown(arguments),
        machine=describe_machine(),
        plan={**asdict(plan), "model": Path(model).name},
        rounds=rounds,
        rows=rows,
    )
    table_console().print(table(run))
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1))
    if options.svg:
        options.svg.write_text(picture(run), encoding="utf-8")
    return 0


def _measure_all(policies: list[str], plan: Plan, rounds: int) -> list[Row]:
    rows: list[Row] = []
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("starting", total=rounds * len(policies))
        for number in range(rounds):
            for policy in policies:
                progress.update(task, description=f"round {number + 1} of {rounds}: {policy}")
                command = ["-m", "tools.bench.schemes", policy, "--plan", plan.to_json()]
                try:
                    found = run_alone(command, seconds=_ALONE_S)
                except AloneFailed as error:
                    raise AloneFailed(f"{policy} failed: {error}") from error
                rows += [
                    Row(policy=policy, rate=rate, round=number, figures=figures)
                    for rate, figures in zip(plan.rates, found, strict=True)
                ]
                progress.advance(task)
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kaiwa bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option("--policy", type=_policies, required=True, help=f"some of {','.join(WAYS)}")
    option(
        "--model",
        default="s",
        help=f"a checkpoint's folder, or one of {', '.join(SIZES)}: random weights, made at "
        "their first use in build/ (%(default)s)",
    )
    option("--rates", type=_rates, default="2,6,18", help="requests per second (%(default)s)")
    option("--requests", type=_whole(_MOST_REQUESTS), default=20, help="per rate (%(default)s)")
    option("--rounds", type=_whole(100), default=2, help="alternating (%(default)s)")
    option("--seed", type=int, default=0, help="of arrivals, lengths and prompts (%(default)s)")
    option("--cores", type=_whole(1024), default=os.cpu_count() or 1, help="used (%(default)s)")
    option(
        "--workers",
        type=_whole(64),
        help="threads that share the model, and instances of the pool (as many as cores)",
    )
    option("--batch-size", type=_whole(64), default=8, help="of every batch (%(default)s)")
    option(
        "--max-wait-ms",
        type=_milliseconds,
        default=50.0,
        help="of the first request in a dynamic batch (%(default)g)",
    )
    option("--dtype", default=usual_dtype(), choices=["bfloat16", "float32"], help="(%(default)s)")
    option(
        "--kernels",
        default="auto",
        choices=["auto", "torch"],
        help="of Kaiwa's engine; torch: transformers' own modules, as the others (%(default)s)",
    )
    option("--quick", action="store_true", help="two rates of six requests, one round")
    option("--json", type=_file, metavar="FILE", help="write all rows")
    option("--svg", type=_file, metavar="FILE", help="draw throughput, latency and memory")
    return parser


def _policies(text: str) -> list[str]:
    names = list(dict.fromkeys(text.split(",")))
    unknown = [name for name in names if name not in WAYS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(WAYS)}")
    return names


def _rates(text: str) -> list[float]:
    try:
        rates = sorted({float(part) for part in text.split(",")})
    except ValueError:
        rates = []
    if not 1 <= len(rates) <= _MOST_RATES or not all(0 < rate <= _MOST_RATE for rate in rates):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of rates above 0, such as 2,6,18 ({_MOST_RATES} at most)"
        )
    return rates


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 60_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time from 0 to 60000 milliseconds")
    return value


def _file(text: str) -> Path:
    """Refuse before minutes of measuring what could not be written after them."""
    file = Path(text)
    if file.is_dir() or not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no file in a folder that is there")
    return file


def _whole(most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {most}")
        return int(text)

    return number


if __name__ == "__main__":
    raise SystemExit(main())
