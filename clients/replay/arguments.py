"""Command line arguments that several commands of replay share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from clients.replay.report.words import LANGUAGES


def positive(text: str) -> int:
    """Read a whole number from 1 on."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def above_0(text: str) -> float:
    """Read a number above 0."""
    number = at_least_0(text)
    if number == 0:
        raise argparse.ArgumentTypeError("0 is not above 0")
    return number


def at_least_0(text: str) -> float:
    """Read a number from 0 on."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return number


def add_report_options(parser: argparse._ArgumentGroup) -> None:
    """Add what says where a report goes and how it looks."""
    option = parser.add_argument
    option(
        "--report",
        type=Path,
        metavar="DIR",
        help="write report.html, summary.json and requests.jsonl there",
    )
    option("--lang", choices=LANGUAGES, default="en", help="of the page (%(default)s)")
    option("--png", action="store_true", help="write the main charts as report.png as well")


def check_report_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with an error where they do not go together, or the folder cannot be used.

    It is made here, so that no run is lost for it.
    """
    if options.png and options.report is None:
        parser.error("--png needs --report, the folder to write into")
    if options.report is not None:
        try:
            options.report.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            parser.error(f"the report cannot be written into {options.report}: {error.strerror}")
        if not os.access(options.report, os.W_OK | os.X_OK):
            parser.error(f"the report cannot be written into {options.report}: not allowed")
