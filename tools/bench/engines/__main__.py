"""Measures one engine in a process, and with an interpreter, of its own."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

from tools.bench.workload import Workload


def main() -> None:
    """Measure the engine that the command line names, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("room", help="module of this package")
    parser.add_argument("--workload", required=True, help="as JSON")
    parser.add_argument("--options", default="{}", help="what the room takes beside it, as JSON")
    parser.add_argument("--result", type=Path, required=True, help="file for the figures")
    options = parser.parse_args()
    room = importlib.import_module(f"tools.bench.engines.{options.room}")
    workload = Workload.from_json(options.workload)
    found = room.measure(workload, **json.loads(options.options))
    options.result.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
