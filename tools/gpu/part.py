"""Runs one part in this process; `tools.gpu.check` starts one after the other."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from pathlib import Path

import torch

from tools.gpu.options import Options
from tools.gpu.parts import OTHER_CARD, PARTS
from tools.gpu.results import Part, Results


def card_name(device: torch.device) -> str:
    """Return what figures may be compared on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return "no GPU, Triton's interpreter"


def main(argv: list[str] | None = None) -> int:
    """Measure what is missing of a part; 1 if something went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.gpu.part", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--results", type=Path, required=True, help="file for the figures")
    parser.add_argument("--seconds", type=float, required=True, help="that it may take")
    parser.add_argument("--options", required=True, help="of the run, as JSON")
    parser.add_argument("--again", action="store_true", help="measure what is there already too")
    asked = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended on the way
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined
    results = Results(asked.results)
    card = card_name(device)
    if results.found["device"] not in ("", card):
        print(
            f"{asked.results} holds figures of {results.found['device']}, and this is {card}; "
            "name another folder",
            file=sys.stderr,
        )
        return OTHER_CARD
    results.note(device=card)
    part = Part(results, asked.part, asked.seconds, again=asked.again)
    spec = PARTS[asked.part]
    try:
        measure = getattr(importlib.import_module(spec.module), spec.function)
    except ModuleNotFoundError as error:
        part.fail(asked.part, f"{error.name} is not installed; tools/gpu/wheels.sh brings it along")
        return 1
    with part.measuring(asked.part):
        measure(part, Options.from_json(asked.options), device)
    part.finish()
    return int(part.has_failed)


if __name__ == "__main__":
    raise SystemExit(main())
