"""The command line of ``kaiwa replay``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clients.load.driver import REPLY_TIMEOUT_S
from clients.python.client import DEFAULT_URL
from clients.replay.arguments import (
    above_0,
    add_report_options,
    at_least_0,
    check_report_options,
    positive,
)
from clients.replay.arrival_plan import FORMS, ArrivalPlan, parse_arrivals
from clients.replay.presets import PRESETS
from clients.replay.script import ScriptError

_EPILOG = f"""\
{FORMS}
workloads without a file:
{chr(10).join(f"  {preset.name:14} {preset.about}" for preset in PRESETS.values())}

targets follow from the address: ws:// is Kaiwa's realtime WebSocket, http:// any server of
OpenAI's Chat Completions (…/v1/chat/completions is added where there is no path), and
simulator:MACHINE plays on the real scheduler without a model (`kaiwa simulate --help` lists the
machines). Several --url in one call are asked one after the other and set side by side.

examples:
  kaiwa replay configs/traces/mooncake_conversation.jsonl --report build/mooncake
  kaiwa replay chat --limit 50 --arrivals poisson:2 --url ws://127.0.0.1:8000
  kaiwa replay chat --limit 50 --arrivals poisson:1 --sweep --report build/knee
  kaiwa replay sharegpt.json --url http://127.0.0.1:8080 --model llama --tokenizer ./model
  kaiwa replay trace.jsonl --url ws://a:8000 --url http://b:8001 --report build/both

exit codes: 0 done, 1 the target cannot be used, 2 wrong usage, 3 the client could not keep up
"""

_SWEEP_S = 30.0
"""A server that is offered a tenth too much is three seconds behind by then."""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments; the raw ones are kept as ``argv``."""
    parser = argparse.ArgumentParser(
        prog="kaiwa replay",
        description="Play a workload against running servers, as listeners would have it: each "
        "session on a line of its own, thinking, reading, interrupting; and report what they felt.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_workload(parser)
    _add_arrivals(parser.add_argument_group("arrivals"))
    _add_target(parser.add_argument_group("target"))
    _add_client(parser.add_argument_group("client"))
    _add_report(parser.add_argument_group("report"))
    options = parser.parse_args(argv)
    options.argv = list(argv)
    options.field = dict(options.field)
    check_report_options(parser, options)
    wanted = [f for f in ("sweep", "rates", "min_duration") if getattr(options, f)]
    if wanted and not options.arrivals.rate:
        name = "--" + wanted[0].replace("_", "-")
        parser.error(f"{name} needs arrivals with a rate, such as --arrivals poisson:1")
    if options.min_duration is None:
        options.min_duration = _SWEEP_S if options.sweep or options.rates else 0.0
    return options


def _add_workload(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument
    option("workload", metavar="TRACE_OR_WORKLOAD", help="a trace file, or a name from below")
    option("--limit", type=positive, metavar="N", help="sessions; all of them if none")
    option("--seed", type=int, default=0, help="of what is drawn (%(default)s)")
    option(
        "--lengths", type=above_0, default=1.0, metavar="FACTOR", help="of prompts and replies (1)"
    )
    option(
        "--max-context",
        type=positive,
        metavar="TOKENS",
        help="cut sessions before the turn that would outgrow this",
    )
    option(
        "--tokenizer",
        type=Path,
        metavar="DIR",
        help="folder of the model, or its tokenizer.json: prompts then have exactly the tokens "
        "that the trace says; without it a word counts as one",
    )


def _add_arrivals(group: argparse._ArgumentGroup) -> None:
    when = group.add_argument
    when(
        "--arrivals",
        type=_arrivals,
        default="trace",
        metavar="FORM",
        help="when sessions begin; the forms are below (%(default)s)",
    )
    when("--time-scale", type=above_0, default=1.0, metavar="FACTOR", help="of a trace's times (1)")
    when("--rates", type=_rates, metavar="R,…", help="a run at each of these rates")
    when("--sweep", action="store_true", help="search for the highest rate that is kept")
    when(
        "--min-duration",
        type=at_least_0,
        metavar="SECONDS",
        help="sessions arrive for at least so long: a workload that is too short is played again "
        f"in other words ({_SWEEP_S:g} with --rates and --sweep, else 0)",
    )
    when("--rounds", type=positive, default=1, metavar="N", help="repeat all runs (1)")


def _add_target(group: argparse._ArgumentGroup) -> None:
    where = group.add_argument
    where("--url", action="append", help=f"where a server is; may be repeated ({DEFAULT_URL})")
    where("--model", action="append", help="by its name there; one for each --url, or one for all")
    where("--name", action="append", help="of a target in the report; one for each --url")
    where("--api-key-file", type=Path, help="file with an API key; the server's own will do")
    where("--ca-file", type=Path, help="certificate authority to trust, in PEM (the system's)")
    where("--events", default="character.v1", help="extension events to ask for (%(default)s)")
    where(
        "--field",
        type=_field,
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="further field of each session or request, such as temperature=0",
    )
    where(
        "--keep-end",
        action="store_true",
        help="let the model end its replies; else they have the trace's lengths (ignore_eos)",
    )


def _add_client(group: argparse._ArgumentGroup) -> None:
    how = group.add_argument
    how("--processes", type=positive, default=1, metavar="N", help="client processes (1)")
    how(
        "--timeout",
        type=above_0,
        default=REPLY_TIMEOUT_S,
        metavar="SECONDS",
        help="a reply that has not ended by then is an error (%(default)g)",
    )
    how(
        "--max-lag",
        type=above_0,
        default=5.0,
        metavar="MS",
        help="a run counts only if 99 of 100 requests left no later than this (%(default)s)",
    )
    how(
        "--report-playback",
        type=above_0,
        metavar="SECONDS",
        help="tell the server so often how far replies have been heard",
    )


def _add_report(group: argparse._ArgumentGroup) -> None:
    add_report_options(group)
    what = group.add_argument
    what("--ttft-slo", type=above_0, default=1.0, metavar="SECONDS", help="(%(default)s)")
    what("--itl-slo", type=above_0, default=0.2, metavar="SECONDS", help="(%(default)s)")
    what("--tpot-slo", type=above_0, metavar="SECONDS", help="(none)")
    what("--e2e-slo", type=above_0, metavar="SECONDS", help="(none)")
    what("--no-engine", action="store_true", help="do not ask for the engine's steps")


def _arrivals(text: str) -> ArrivalPlan:
    try:
        return parse_arrivals(text)
    except ScriptError as error:
        raise argparse.ArgumentTypeError(str(error).partition("\n")[0]) from None


def _field(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    try:
        if not name or not separator:
            raise ValueError
        return name, json.loads(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=JSON") from None


def _rates(text: str) -> list[float]:
    return [above_0(part) for part in text.split(",")]
