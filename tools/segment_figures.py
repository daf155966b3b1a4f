"""What the segmenter is worth: its gold set, its independence of chunks, its delay, its speed.

A gold file (``tests/server/speech/gold``) holds one reply a line, as one who reads it aloud would
want it cut under the rules of ``server.speech.segmenter``: ``|`` between segments, ``‖`` where an
expression tag stands, ``⏎`` for a line's end, and ``‹a›``, ``‹t›`` or ``‹c›`` before an action, a
thought or code. Lines that begin with ``;;`` are comments.

``python -m tools.segment_figures`` prints all figures; pysbd and sentencex, if installed, stand
beside.
"""

from __future__ import annotations

import argparse
import importlib
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from server.speech.pending import Kind
from server.speech.segmenter import Segment, Segmenter, SegmentRules
from server.speech.segments import LANGUAGES

GOLD = Path(__file__).resolve().parent.parent / "tests" / "server" / "speech" / "gold"
NAMES = ("ja", "zh", "en", "mixed", "unseen")
TAG = "‖"
LONG = 1_000  # code points of a text that is tried in fewer chunkings
_KINDS: dict[str, Kind] = {"‹a›": "action", "‹t›": "thought", "‹c›": "code"}

Splitter = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Case:
    """A reply and how it should be cut.

    Attributes:
        text: The clean text.
        marks: Code points before each expression tag.
        parts: The segments' texts with their kinds.
    """

    text: str
    marks: frozenset[int]
    parts: tuple[tuple[Kind, str], ...]


def read_case(line: str) -> Case:
    """Read one line of a gold file."""
    parts: list[tuple[Kind, str]] = []
    marks = set()
    length = 0
    for index, group in enumerate(line.replace("⏎", "\n").split(TAG)):
        if index:
            marks.add(length)
        for part in group.split("|"):
            kind = _KINDS.get(part[:3], "speech")
            text = part[3:] if kind != "speech" else part
            parts.append((kind, text))
            length += len(text)
    return Case("".join(text for _, text in parts), frozenset(marks), tuple(parts))


def read_gold(name: str) -> list[Case]:
    """Read one of the gold files in ``NAMES``; ``unseen`` played no part in making the rules."""
    lines = (GOLD / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [read_case(line) for line in lines if line and not line.startswith(";;")]


def segment(
    text: str,
    cuts: Iterable[int] = (),
    marks: Iterable[int] = (),
    rules: SegmentRules = SegmentRules(),  # noqa: B008
) -> list[Segment]:
    """Segment a whole reply, fed in the chunks that ``cuts`` make, with tags at ``marks``."""
    segmenter = Segmenter(rules)
    marked = set(marks)
    segments: list[Segment] = []
    begin = 0
    for end in sorted({*cuts, *marked, len(text)}):
        segments += segmenter.feed(text[begin:end])
        begin = end
        if end in marked:
            segments += segmenter.mark()
    return segments + segmenter.finish()


def is_right(case: Case, segments: Sequence[Segment]) -> bool:
    """Whether texts and kinds are those of the gold set."""
    return tuple((segment.kind, segment.text) for segment in segments) == case.parts


def first_at(text: str, *, whole_sentences: bool) -> int:
    """Code points that have come when the first segment goes out, fed one by one.

    With ``whole_sentences`` a clause is cut off only where any long segment would be.
    """
    rules = SegmentRules(first_min=SegmentRules().max) if whole_sentences else SegmentRules()
    segmenter = Segmenter(rules)
    for index, char in enumerate(text, 1):
        if segmenter.feed(char):
            return index
    return len(text)


def boundaries(texts: Iterable[str]) -> set[int]:
    """Where the texts end, the last left out, each before its spaces."""
    places = set()
    length = 0
    for text in texts:
        places.add(length + len(text.rstrip()))
        length += len(text)
    return {place for place in places if place < length} if places else places


def main() -> int:
    """Print the figures.

    Returns:
        1 when any chunking changed a segment.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--chunkings", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    console = Console(width=110)
    gold = {name: read_gold(name) for name in NAMES}
    _print_misses(console, gold)
    _print_accuracy(console, gold)
    _print_delay(console, gold)
    differing = _print_chunkings(console, gold, options.chunkings, random.Random(options.seed))
    _print_speed(console, gold)
    return 1 if differing else 0


def _print_misses(console: Console, gold: dict[str, list[Case]]) -> None:
    for name, cases in gold.items():
        for case in cases:
            segments = segment(case.text, marks=case.marks)
            if not is_right(case, segments):
                console.print(f"{name}: want {[text for _, text in case.parts]}", markup=False)
                console.print(f"{name}: have {[s.text for s in segments]}", markup=False)


def _print_accuracy(console: Console, gold: dict[str, list[Case]]) -> None:
    table = Table(title="Gold set: exact replies, and the places of cuts")
    for column in ("splitter", "set", "replies", "exact", "precision", "recall", "language"):
        table.add_column(column, justify="right" if column not in ("splitter", "set") else "left")
    for name, cases in gold.items():
        segmented = [segment(case.text, marks=case.marks) for case in cases]
        right = sum(map(is_right, cases, segmented))
        told = [s.lang == name for row in segmented for s in row if s.kind != "code"]
        lang = f"{sum(told)}/{len(told)}" if name in LANGUAGES else ""
        texts = [[s.text for s in row] for row in segmented]
        table.add_row("kaiwa", name, str(len(cases)), f"{right}", *_cut_scores(cases, texts), lang)
    for name, cases in gold.items():
        if name == "unseen":
            continue  # of all languages, which others want to be told
        # Others know sentences only: replies with tags, asides, a first clause or short sentences
        # that join the next are not theirs.
        plain = [case for case in cases if _is_sentences_only(case)]
        texts = [[s.text for s in segment(case.text)] for case in plain]
        _add_row(table, "kaiwa, sentences only", name, plain, texts)
        for library in ("pysbd", "sentencex"):
            split = _other_splitter(library, "en" if name == "mixed" else name)
            if split is not None:
                _add_row(table, library, name, plain, [split(case.text) for case in plain])
    console.print(table)


def _add_row(
    table: Table, splitter: str, name: str, cases: list[Case], texts: list[list[str]]
) -> None:
    exact = sum(
        boundaries(row) == boundaries(text for _, text in case.parts)
        for case, row in zip(cases, texts, strict=True)
    )
    table.add_row(splitter, name, str(len(cases)), str(exact), *_cut_scores(cases, texts), "")


def _cut_scores(cases: list[Case], texts: list[list[str]]) -> tuple[str, str]:
    """Precision and recall of the cuts, in percent."""
    hits = have = want = 0
    for case, row in zip(cases, texts, strict=True):
        wanted, found = boundaries(text for _, text in case.parts), boundaries(row)
        hits += len(wanted & found)
        have += len(found)
        want += len(wanted)
    return f"{100 * hits / max(1, have):.1f} %", f"{100 * hits / max(1, want):.1f} %"


def _is_sentences_only(case: Case) -> bool:
    if case.marks or any(kind != "speech" for kind, _ in case.parts):
        return False
    segments = segment(case.text)
    unjoined = segment(case.text, rules=SegmentRules(min=1))
    return segments == unjoined and all(s.boundary in ("sentence", "final") for s in segments)


def _other_splitter(library: str, lang: str) -> Splitter | None:
    try:
        module: Any = importlib.import_module(library)
    except ImportError:
        return None
    if library == "pysbd":
        split: Splitter = module.Segmenter(language=lang, clean=False).segment
        return split
    return lambda text: list(module.segment(lang, text))


def _print_delay(console: Console, gold: dict[str, list[Case]]) -> None:
    table = Table(title="Median code points until the first segment, fed one by one")
    for column in ("set", "kaiwa", "sentence ends only", "replies where earlier"):
        table.add_column(column, justify="right")
    for name, cases in gold.items():
        texts = [case.text for case in cases]
        early = [first_at(text, whole_sentences=False) for text in texts]
        late = [first_at(text, whole_sentences=True) for text in texts]
        table.add_row(
            name,
            f"{statistics.median(early):g}",
            f"{statistics.median(late):g}",
            f"{sum(a < b for a, b in zip(early, late, strict=True))}/{len(texts)}",
        )
    console.print(table)


def _print_chunkings(
    console: Console, gold: dict[str, list[Case]], chunkings: int, rng: random.Random
) -> int:
    """Compare segments under random chunkings with those of one piece; return how many differ."""
    cases = [(case.text, case.marks) for cases in gold.values() for case in cases]
    for group in gold.values():  # and each file as one long reply
        cases.append(("\n".join(case.text for case in group), frozenset()))
        cases.append(("".join(case.text for case in group), frozenset()))
    differing = runs = 0
    for text, marks in cases:
        whole = segment(text, marks=marks)
        for _ in range(chunkings if len(text) < LONG else max(1, chunkings // 100)):
            runs += 1
            longest = rng.choice([1, 3, 8, 40])
            cuts, place = [], 0
            while place < len(text):
                place += rng.randint(1, longest)
                cuts.append(place)
            differing += segment(text, (c for c in cuts if c < len(text)), marks) != whole
    num_long = sum(len(text) >= LONG for text, _ in cases)
    console.print(
        f"{len(cases) - num_long} replies under {chunkings} chunkings each, {num_long} long texts "
        f"under a hundredth of that, {runs} runs: {differing} differ"
    )
    return differing


def _print_speed(console: Console, gold: dict[str, list[Case]]) -> None:
    table = Table(title="Speed on 1 MB of text, in MB/s of UTF-8")
    for column in ("text", "in one piece", "in pieces of 4"):
        table.add_column(column, justify="right")
    texts = {name: " ".join(case.text for case in cases) for name, cases in gold.items()}
    texts |= {"a…a, no boundary": "a", "あ…あ, no boundary": "あ", "( only": "("}
    for name, text in texts.items():
        size = len(text.encode())
        text *= 1_000_000 // size
        rates = []
        for step in (len(text), 4):
            begun = time.perf_counter()
            segmenter = Segmenter()
            for begin in range(0, len(text), step):
                segmenter.feed(text[begin : begin + step])
            segmenter.finish()
            rates.append(len(text.encode()) / 1e6 / (time.perf_counter() - begun))
        table.add_row(name, *(f"{rate:.2f}" for rate in rates))
    console.print(table)


if __name__ == "__main__":
    raise SystemExit(main())
