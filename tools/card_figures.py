"""Shows that cards lose nothing on any way, and how hostile ones are refused.

``python -m tools.card_figures [--json FILE]`` prints two tables: round trips by the formats that
they go through, with values compared and lost; and classes of hostile files, with how many were
refused, by which codes, the slowest and the most memory beside the file itself.
"""

from __future__ import annotations

import argparse
import json
import time
import tracemalloc
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from server.cards.card import Card
from server.cards.read import read_card
from server.cards.write import Format, write_card
from server.errors import CardError
from tools.cards.attacks import attacks
from tools.cards.damage import mutations
from tools.cards.samples import Sample, make_samples

TARGETS: dict[str, tuple[Format, int | None]] = {
    "json v1": ("json", 1),
    "json v2": ("json", 2),
    "json v3": ("json", 3),
    "png": ("png", None),
    "charx": ("charx", None),
}


@dataclass(slots=True)
class RoundTrip:
    """What a way cost.

    Attributes:
        way: From the samples' kind to a format, and on to another.
        cards: That went it.
        compared: JSON values, files and picture chunks.
        lost: Of these, missing, changed or added ones, by name.
    """

    way: str
    cards: int = 0
    compared: int = 0
    lost: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Refusals:
    """How a class of hostile files fared.

    Attributes:
        kind: The class.
        files: Tried.
        refused: By a ``CardError``.
        codes: How often each.
        unexpected: Read, refused by another code than was foreseen, or failed otherwise.
        slowest_ms: Of one file.
        most_kib: Memory at the peak of one, without the file itself.
    """

    kind: str
    files: int = 0
    refused: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    slowest_ms: float = 0.0
    most_kib: int = 0


def round_trips(samples: Iterable[Sample]) -> list[RoundTrip]:
    """Send each card through every format, and through every two in a row."""
    ways: dict[str, RoundTrip] = {}
    for sample in samples:
        kind = sample.name.rpartition(" ")[0]
        card = read_card(sample.data, file=sample.name)
        _compare(ways, f"{kind} → read", sample, card)
        for first, (format, version) in TARGETS.items():
            through = _send(card, format, version)
            _compare(ways, f"{kind} → {first}", sample, through)
            for second, (format, version) in TARGETS.items():
                back = _send(through, format, version)
                _compare(ways, f"{kind} → {first} → {second}", sample, back)
    return list(ways.values())


def refusals(*, seed: int = 6, num_mutations: int = 400) -> list[Refusals]:
    """Read all hostile files, and damaged sound ones, which may also be read."""
    classes: dict[str, Refusals] = {}
    for attack in attacks():
        row = classes.setdefault(attack.kind, Refusals(attack.kind))
        code = _try(row, attack.make())
        if code != attack.code:
            row.unexpected.append(f"{attack.name}: {code}, not {attack.code}")
    row = classes.setdefault("damaged sound file", Refusals("damaged sound file"))
    for number, data in enumerate(mutations(make_samples(seed), seed, num_mutations)):
        code = _try(row, data)
        if not code.startswith("card_") and code != "read":
            row.unexpected.append(f"mutation {number}: {code}")
    return list(classes.values())


def flatten(value: Any, path: str = "") -> dict[str, tuple[str, Any]]:
    """Return all values by their paths, each with its type; empty containers are values too."""
    members: Iterable[tuple[Any, Any]]
    if isinstance(value, dict) and value:
        members = value.items()
    elif isinstance(value, list) and value:
        members = enumerate(value)
    else:
        return {path: (type(value).__name__, value)}
    found: dict[str, tuple[str, Any]] = {}
    for key, member in members:
        found |= flatten(member, f"{path}/{key!r}")
    return found


def main() -> int:
    """Print both tables.

    Returns:
        1 when anything was lost or not refused as foreseen.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--per-kind", type=int, default=3, help="cards of each kind")
    parser.add_argument("--mutations", type=int, default=3000)
    options = parser.parse_args()
    ways = round_trips(make_samples(options.seed, per_kind=options.per_kind))
    classes = refusals(seed=options.seed, num_mutations=options.mutations)
    _print_round_trips(ways)
    _print_refusals(classes)
    if options.json:
        figures = {
            "round_trips": [asdict(way) for way in ways],
            "refusals": [asdict(row) for row in classes],
        }
        options.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    is_bad = any(way.lost for way in ways) or any(row.unexpected for row in classes)
    return 1 if is_bad else 0


def _send(card: Card, format: Format, version: int | None) -> Card:
    return read_card(write_card(card, format, version=version), file=format)


def _compare(ways: dict[str, RoundTrip], name: str, sample: Sample, card: Card) -> None:
    way = ways.setdefault(name, RoundTrip(name))
    way.cards += 1
    pixels = [(c.kind, c.data) for c in card.picture.chunks] if card.picture else []
    wanted = flatten(sample.raw) | flatten(dict(sample.files), "files")
    found = flatten(dict(card.raw)) | flatten(dict(card.files), "files")
    wanted |= {f"chunk {n}": ("chunk", chunk) for n, chunk in enumerate(sample.pixels)}
    found |= {f"chunk {n}": ("chunk", chunk) for n, chunk in enumerate(pixels)}
    way.compared += len(wanted)
    way.lost += [
        f"{sample.name}: {path}"
        for path in wanted.keys() | found.keys()
        if wanted.get(path) != found.get(path)
    ]


def _try(row: Refusals, data: bytes) -> str:
    """Read a file twice, once for its time and once for its memory; return what came of it."""
    started = time.perf_counter()
    code = _read(data)
    row.slowest_ms = max(row.slowest_ms, (time.perf_counter() - started) * 1000)
    tracemalloc.start()
    _read(data)
    row.most_kib = max(row.most_kib, tracemalloc.get_traced_memory()[1] // 1024)
    tracemalloc.stop()
    row.files += 1
    row.refused += code.startswith("card_")
    row.codes[code] = row.codes.get(code, 0) + 1
    return code


def _read(data: bytes) -> str:
    try:
        read_card(data, file="hostile")
    except CardError as error:
        return error.code
    except Exception as error:  # what must never be is a figure of this table
        return f"failed by {type(error).__name__}"
    return "read"


def _print_round_trips(ways: list[RoundTrip]) -> None:
    print(f"{'from':<10} {'through':<18} {'ways':>5} {'cards':>6} {'compared':>9} {'lost':>5}")
    groups: dict[tuple[str, str], list[RoundTrip]] = {}
    for way in ways:
        first, _, rest = way.way.partition(" → ")
        steps = rest.split(" → ")
        groups.setdefault((first, f"{steps[0]}{' and on' if steps[1:] else ''}"), []).append(way)
    for (first, through), group in groups.items():
        cards, compared = sum(w.cards for w in group), sum(w.compared for w in group)
        lost = sum(len(w.lost) for w in group)
        print(f"{first:<10} {through:<18} {len(group):>5} {cards:>6} {compared:>9} {lost:>5}")
    compared, all_lost = sum(w.compared for w in ways), [n for w in ways for n in w.lost]
    print(f"in all: {compared} values compared, {len(all_lost)} lost")
    for name in all_lost[:20]:
        print(f"  lost: {name}")


def _print_refusals(classes: list[Refusals]) -> None:
    print(f"\n{'hostile class':<24} {'files':>5} {'refused':>7} {'ms':>7} {'KiB':>7}  codes")
    for row in classes:
        codes = ", ".join(f"{code.removeprefix('card_')} {n}" for code, n in row.codes.items())
        print(
            f"{row.kind:<24} {row.files:>5} {row.refused:>7} {row.slowest_ms:>7.1f} "
            f"{row.most_kib:>7}  {codes}"
        )
        for problem in row.unexpected:
            print(f"  unexpected: {problem}")


if __name__ == "__main__":
    raise SystemExit(main())
