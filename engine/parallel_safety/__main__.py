"""``kaiwa doctor --model``: may threads share one instance of this model?

Runs in a process of its own, since it brings torch and, where one is named, somebody's module.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from engine.errors import EngineError, ModelError
from engine.model.memory import free_memory_bytes
from engine.parallel_safety.agreement import check_agreement
from engine.parallel_safety.changes import check_changes
from engine.parallel_safety.findings import Finding, is_safe, report
from engine.parallel_safety.footprint import check_footprint
from engine.parallel_safety.inputs import compute
from engine.parallel_safety.modes import check_modes
from engine.parallel_safety.subject import find_subject

SAFE, UNSAFE, USAGE, INTERRUPTED = 0, 1, 2, 130
_MOST = 64
_FORWARD_S = 600.0
"""What lasts longer is no forward; threads beside each other are given up earlier."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the model that is named; returns 0 if safe, 1 if unsafe, 2 if it cannot be judged."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // options.threads))  # cores are shared out
    try:
        findings = judge(
            options.model,
            instances=options.instances,
            threads=options.threads,
            rounds=options.rounds,
        )
    except EngineError as error:
        sys.stderr.write(f"kaiwa doctor: {error.message}\n")
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    sys.stdout.write(report(options.model, findings, options.threads))
    return SAFE if is_safe(findings) else UNSAFE


def judge(name: str, *, instances: int, threads: int, rounds: int) -> list[Finding]:
    """Return all that was found out about a model.

    Raises:
        EngineError: There is no such model, or it does not compute at all.
    """
    model, inputs = find_subject(name)
    call = within(partial(compute, model), _FORWARD_S, partial(_give_up, name))
    findings = check_modes(model)
    try:
        findings += check_changes(model, call, inputs)
        findings += check_agreement(call, inputs, threads=threads, rounds=rounds)
    except EngineError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"a forward of {name} raised {type(error).__name__}: {str(error)[:500]}; if its inputs "
            "are wrong, let the callable return the model and a list of inputs (each a tensor, a "
            "tuple of arguments, or a dictionary of named ones)"
        ) from error
    free = free_memory_bytes(torch.device("cpu"))
    return [*findings, check_footprint(model, instances=instances, free_bytes=free)]


def within(
    call: Callable[[Any], object], seconds: float, late: Callable[[], object]
) -> Callable[[Any], object]:
    """Return the same call, during which something else is done when it lasts too long."""

    def watched(given: Any) -> object:
        timer = threading.Timer(seconds, late)
        timer.daemon = True
        timer.start()
        try:
            return call(given)
        finally:
            timer.cancel()

    return watched


def _give_up(name: str) -> None:
    """End the process: nothing else ends a forward that waits for ever."""
    sys.stderr.write(
        f"kaiwa doctor: a forward of {name} was not done within {_FORWARD_S:g} s; it seems to wait "
        "for something that does not come\n"
    )
    sys.stderr.flush()
    os._exit(USAGE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kaiwa doctor",
        description="Say whether threads may share one instance of a model, and what to do if not.",
        epilog="exit codes: 0 safe, 1 unsafe, 2 wrong usage",
        allow_abbrev=False,
    )
    option = parser.add_argument
    option(
        "--model",
        required=True,
        metavar="M",
        help="a checkpoint's folder (safetensors), or module:callable, which is imported and "
        "returns a torch module, or one and a list of inputs",
    )
    option("--instances", type=_number, default=2, help="to reckon memory for (%(default)s)")
    option("--threads", type=_number, default=4, help="that compute at once (%(default)s)")
    option("--rounds", type=_number, default=8, help="through all inputs (%(default)s)")
    return parser


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {_MOST}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
