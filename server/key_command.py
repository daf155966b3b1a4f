"""``kaiwa key``: makes API keys, and says what to write of them into the key file.

A key is printed once and kept nowhere. It comes in on standard input and never on the command line,
which other users of the machine can read.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import getpass
import secrets
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields

from engine.errors import ConfigError
from server.auth.key_file import parse_lines, parse_scopes, parse_toml
from server.auth.keys import (
    KEY_BYTES,
    MIN_KEY_CHARS,
    KeyLimits,
    Scope,
    digest_of,
    hash_text,
    new_key,
)
from server.errors import shorten

EXIT_USAGE = 2

_EPILOG = """\
examples:
  kaiwa key new --name alice                     a key, and the line or table to keep of it
  kaiwa key new --name bot --scopes chat --expires 2027-01-01 --tokens-per-min 20000
  kaiwa key hash --name alice < key.txt          the same of a key that there is already
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        key = new_key(secrets.token_bytes(KEY_BYTES)) if options.is_new else _read_key()
        lines = list(describe(key, options))
    except (ConfigError, ValueError) as error:
        sys.stderr.write(f"kaiwa: {error}\n")
        return EXIT_USAGE
    if options.is_new:
        lines = ["the key, shown this once; give it to whoever will use it:", f"  {key}", *lines]
    elif len(key) < MIN_KEY_CHARS:
        sys.stderr.write(
            f"kaiwa: this key has under {MIN_KEY_CHARS} characters and may be guessed from its "
            "hash; `kaiwa key new` makes a better one\n"
        )
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def describe(key: str, options: argparse.Namespace) -> Iterator[str]:
    """What to write into a key file, line by line; holds the hash, not the key.

    Raises:
        ConfigError: The options are none that a key file may hold.
        ValueError: Likewise.
    """
    digest = hash_text(digest_of(key))
    table = [f"name = {_quoted(options.name)}", f"hash = {_quoted(digest)}", *_more(options)]
    parse_toml("\n".join(["[[key]]", *table]), "the key")
    yield "into a key file that ends in .toml:"
    yield "  [[key]]"
    yield from (f"  {line}" for line in table)
    if len(table) == 2:
        line = f"{options.name}:{digest}"
        (parsed,) = parse_lines(line, "the key").keys
        if parsed.name == options.name:
            yield "or as a line into any other:"
            yield f"  {line}"


def _more(options: argparse.Namespace) -> Iterator[str]:
    if options.scopes is not None:
        names = sorted(parse_scopes([one.strip() for one in options.scopes.split(",") if one]))
        yield f"scopes = [{', '.join(map(_quoted, names))}]"
    for name in ("not_before", "expires"):
        if (time := getattr(options, name)) is not None:
            yield f"{name} = {time.isoformat()}"
    for field in fields(KeyLimits):
        if (limit := getattr(options, field.name)) is not None:
            yield f"{field.name} = {limit}"


def _quoted(text: str) -> str:
    """A TOML string."""
    if not text.isprintable():
        raise ValueError("a name is printable characters without a colon")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _read_key() -> str:
    is_person = sys.stdin.isatty()
    key = (getpass.getpass("key (not shown): ") if is_person else sys.stdin.readline()).strip()
    if not key:
        raise ValueError("there is no key on standard input")
    return key


def _time(text: str) -> datetime.date:
    """A day, or a point in time; Python's ISO dates are TOML's but for a zone left out."""
    with contextlib.suppress(ValueError):
        return datetime.date.fromisoformat(text)
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{shorten(text)} is no date such as 2027-01-01 or 2027-01-01T12:00:00Z"
        ) from None
    return time if time.tzinfo is not None else time.replace(tzinfo=datetime.UTC)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kaiwa key",
        description="Make API keys, and say what to keep of them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", required=True, help="whose it is; keys of one name are one user")
    common.add_argument(
        "--scopes", metavar="A,B", help=f"all but admin if none: {', '.join(sorted(Scope))}"
    )
    common.add_argument("--not-before", type=_time, metavar="DATE", help="good from then on, UTC")
    common.add_argument("--expires", type=_time, metavar="DATE", help="good until then, UTC")
    for field in fields(KeyLimits):
        flag = "--" + field.name.replace("_", "-")
        common.add_argument(flag, type=int, metavar="N", help="the server's settings if none")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    new = actions.add_parser("new", help="make a key", parents=[common])
    new.set_defaults(is_new=True)
    hash = actions.add_parser("hash", help="hash the key on standard input", parents=[common])
    hash.set_defaults(is_new=False)
    return parser
