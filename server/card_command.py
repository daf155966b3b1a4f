"""``kaiwa card FILE``: what is in a character card, what a model reads of it, and other formats."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from server.cards.card import PROMPT_FIELDS, Card
from server.cards.write import Format, write_card, write_lorebook
from server.characters.card_export import card_of
from server.characters.card_file import EXTENSION, find_warnings
from server.characters.character import Character
from server.characters.files import load_character_file
from server.characters.persona import read_persona
from server.characters.picture import look_at
from server.errors import CardError, CharacterFileError, shorten
from server.lore.rules import stands_in_head

EXIT_USAGE = 2
_FORMATS: dict[str, Format] = {".json": "json", ".png": "png", ".charx": "charx"}
_VERSIONS = {"v1": 1, "v2": 2, "v3": 3}
_WIDTH = 76

_EPILOG = """\
examples:
  kaiwa card mika.png                            what is in it
  kaiwa card mika.png --to mika.charx            another format, nothing lost
  kaiwa card mika.png --lorebook mika-lore.json  its lorebook, alone
  kaiwa card aoi.toml --to aoi.png               a card for other programs
  kaiwa card mika.png --to mika.json --spec v2   an elder version
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        character = load_character_file(options.file)
        if options.to is not None:
            _convert(character, options)
        if options.lorebook is not None:
            _take_out(character, options)
        if options.to is None and options.lorebook is None:
            sys.stdout.writelines(f"{line}\n" for line in describe(character, options.file))
            sys.stdout.flush()
    except BrokenPipeError:  # `kaiwa card … | head` has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # what is left goes there at exit
    except (CardError, CharacterFileError, _Refused) as error:
        sys.stderr.write(f"kaiwa: {error}\n")
        return EXIT_USAGE
    return 0


class _Refused(Exception):
    """What was asked for is not done; the message says why."""


def describe(character: Character, file: Path) -> Iterator[str]:
    """Tell of a character, line by line."""
    card = character.card
    persona = read_persona(character)
    entries = [entry for book in character.books for entry in book.entries]
    in_head = sum(map(stands_in_head, entries))
    yield _row("name", persona.name)
    yield _row("id", character.id)
    yield _row("file", f"{file.name}, {_kind(card)}")
    yield _row("model reads", f"{len(persona.head):,} characters before the conversation")
    if persona.post_history:
        yield _row("", f"{len(persona.post_history):,} behind what was said")
    yield _row("greetings", str(len(persona.greetings)))
    if character.group_greetings:
        yield _row("", f"{len(character.group_greetings)} for rooms of several")
    if entries:
        rest = len(entries) - in_head
        yield _row("lore", f"{len(entries)} entries: {in_head} always, {rest} when they come up")
    if character.picture is not None:
        media_type, (width, height) = look_at(character.picture.content)
        yield _row("picture", f"{media_type}, {width} by {height} pixels")
    if character.sampling:
        yield _row("sampling", ", ".join(f"{k} {v}" for k, v in character.sampling.items()))
    if card is not None:
        yield from _rows("stays out", _unread(card))
        yield from _rows("files", [f"{k} ({len(v):,} bytes)" for k, v in card.files.items()])
    yield from _rows("note", find_warnings(character))


def _kind(card: Card | None) -> str:
    if card is None:
        return "a character of this server's own kind"
    spec = card.spec_version or str(card.version)
    return f"Character Card V{spec} as {card.container}"


def _unread(card: Card) -> list[str]:
    """Fields that hold something, and that no model sees."""
    data = card.raw if card.version == 1 else card.raw["data"]
    names = [key for key, value in data.items() if value and key not in PROMPT_FIELDS]
    own = [f"extensions.{key}" for key in card.extensions if key != EXTENSION]
    top = _other_keys(card.raw) if card.version > 1 else []
    return [*(name for name in names if name != "extensions"), *own, *top]


def _other_keys(raw: Mapping[str, Any]) -> list[str]:
    known = ("spec", "spec_version", "data")
    return [f"{key} (beside data)" for key in raw if key not in known]


def _rows(name: str, items: Sequence[str]) -> Iterator[str]:
    for index, item in enumerate(items):
        yield _row("" if index else name, item)


def _row(name: str, text: str) -> str:
    """A line; what a card holds cannot steer the terminal."""
    shown = "".join(one if one.isprintable() else "�" for one in text)
    return f"{name:<12} {shown if len(shown) <= _WIDTH * 4 else shown[: _WIDTH * 4] + '…'}"


def _convert(character: Character, options: argparse.Namespace) -> None:
    target: Path = options.to
    format = _FORMATS.get(target.suffix.lower())
    if format is None:
        raise _Refused(
            f"{target.name}: {shorten(target.suffix)} is no format of a card; name the file "
            f"{', '.join('…' + suffix for suffix in _FORMATS)}"
        )
    version = _VERSIONS[options.spec] if options.spec else None
    _write(target, write_card(card_of(character), format, version=version), force=options.force)


def _take_out(character: Character, options: argparse.Namespace) -> None:
    data = write_lorebook(card_of(character))
    if data is None:
        raise _Refused(f"{options.file.name}: has no lorebook")
    _write(options.lorebook, data, force=options.force)


def _write(target: Path, data: bytes, *, force: bool) -> None:
    try:
        with target.open("wb" if force else "xb") as file:
            file.write(data)
    except FileExistsError:
        raise _Refused(f"{target}: is there already; say --force to write over it") from None
    except OSError as error:
        raise _Refused(f"{target}: cannot be written: {error.strerror}") from None
    sys.stdout.write(f"{target}: {len(data):,} bytes\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kaiwa card",
        description="Show a character card, or write it in another format.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="PNG, JSON, CHARX or TOML")
    parser.add_argument("--to", type=Path, metavar="FILE", help="write a .json, .png or .charx")
    parser.add_argument(
        "--spec", choices=tuple(_VERSIONS), help="version of JSON; the card's own if none"
    )
    parser.add_argument(
        "--lorebook", type=Path, metavar="FILE", help="write its lorebook as a .json of its own"
    )
    parser.add_argument("--force", action="store_true", help="write over a file that is there")
    return parser
