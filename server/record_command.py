"""``kaiwa record``: ``kaiwa serve`` that writes down what is said, for ``kaiwa replay``."""

from __future__ import annotations

import argparse
from typing import get_args

from engine.errors import ConfigError
from server.config.recording import Consent, RecordConfig, TextMode

EPILOG = """\
examples:
  kaiwa record --dir wire-logs                   sessions opened with ?record=yes, lengths only
  kaiwa record --dir wire-logs --text redacted   with other letters in place of what was said
  kaiwa record --dir wire-logs --text full --consent operator --port 9000
                                                 every session, every word: all have agreed

One file per session, readable for you alone. Clients are told (session.recording). Besides these,
all options are those of `kaiwa serve`; the settings are [record] in configs/kaiwa.example.toml.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``kaiwa record`` has beside the options of ``kaiwa serve``."""
    group = parser.add_argument_group("recording")
    group.add_argument(
        "--dir", dest="record.dir", metavar="FOLDER", help="for the logs; made where it is not"
    )
    group.add_argument(
        "--text",
        dest="record.text",
        choices=get_args(TextMode),
        help="of what users say: lengths (default), other letters, or every word",
    )
    group.add_argument(
        "--consent",
        dest="record.consent",
        choices=get_args(Consent),
        help="who agrees: each client by ?record=yes (default), or you for all of them",
    )


def check_named(config: RecordConfig) -> None:
    """Refuse to record nowhere.

    Raises:
        ConfigError: There is no folder.
    """
    if config.dir is None:
        raise ConfigError(
            "kaiwa record has no folder to write to; name one with --dir, or set record.dir",
            param="record.dir",
        )
