"""What stands in every report: command, machine, what else it was doing; and how it is printed."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from clients.surroundings import describe_processor


def parser_of(name: str, doc: str | None) -> argparse.ArgumentParser:
    """Make a parser with what all measurements take."""
    parser = argparse.ArgumentParser(
        prog=f"python -m tools.gateway.{name}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to a file")
    parser.add_argument("--seed", type=int, default=1, help="of everything drawn (%(default)s)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="a setting of the server, as in its configuration file; may be given repeatedly",
    )
    return parser


def progress_bar(console: Console) -> Progress:
    """A bar that says what is being done, and how much of it is."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def surroundings() -> dict[str, Any]:
    """What a reader needs to judge the figures; no host name."""
    return {
        "processor": describe_processor(),
        "python": platform.python_version(),
        "websockets": version("websockets"),
        "uvloop": version("uvloop"),
        "load_average_1_min": round(os.getloadavg()[0], 2),
    }


def command_line(module: str, arguments: Sequence[str] | None) -> str:
    """The command that was run."""
    return shlex.join(["python", "-m", f"tools.gateway.{module}", *(arguments or sys.argv[1:])])


def show(title: str, rows: Mapping[str, object], console: Console) -> None:
    """Print names and values."""
    table = Table("", "", title=title, show_header=False)
    for name, value in rows.items():
        table.add_row(name.replace("_", " "), _written(value))
    console.print(table)


def _written(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_written(number)}" for key, number in sorted(value.items()))
    return str(value)


def write(file: Path | None, report: Mapping[str, Any]) -> None:
    """Write a report, where a file was named."""
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
