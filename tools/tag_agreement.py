"""Whether a tag is asked for where a segment begins: the grammar beside the segmenter.

Every reply of the segmenter's gold set is put through the grammar, a letter at a time, with a tag
only where nothing else is let through. Those places are held against the segments that the
segmenter makes of the same text without any tag.

``python -m tools.tag_agreement`` prints how many places both, one, or the other know; ``--places``
prints each place where they differ.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from engine.grammar.compile import compile_grammar
from engine.grammar.state import fill_masks
from engine.grammar.vocabulary import Vocabulary
from engine.sampling_params import Grammar
from server.speech.segmenter import Segmenter
from server.tools.tag_grammar import tagged_reply
from tools.segment_figures import NAMES, read_gold

FACE, TAG = "happy", "[happy]"
BOTH, NO_START = "both", "a tag within a segment"
CLAUSE, ASIDE, SENTENCE = "a clause without one", "around an aside", "a sentence without one"
ROWS = (BOTH, NO_START, SENTENCE, ASIDE, CLAUSE)


@dataclass(frozen=True, slots=True)
class Place:
    """A place between two letters where a tag is forced, a segment begins, or both."""

    at: int
    what: str


def forced_tags(texts: Sequence[str]) -> list[list[int]]:
    """Where the grammar lets nothing but a tag through, in each text that has no square bracket.

    Raises:
        ValueError: The grammar does not take a text even so.
    """
    letters = sorted({letter for text in texts for letter in text})
    id_of = {letter: number for number, letter in enumerate([TAG, *letters])}
    vocabulary = Vocabulary([*(piece.encode() for piece in id_of), b""])
    source = tagged_reply((FACE,), (), "segment")
    grammar = compile_grammar(Grammar(kind="lark", source=source), vocabulary)
    masks = np.zeros((1, vocabulary.num_words), dtype=np.uint32)
    found = []
    for text in texts:
        state = grammar.start([len(id_of)])
        written, places = [id_of[TAG]], list[int]()
        for at, letter in enumerate(text):
            state.advance(written)
            fill_masks([state], masks)
            word, bit = divmod(id_of[letter], 32)
            if not int(masks[0, word]) >> bit & 1:
                places.append(at)
                written = [*written, id_of[TAG]]
            written = [*written, id_of[letter]]
        state.advance(written)
        if state.error:
            raise ValueError(f"the grammar does not take {text!r}")
        found.append(places)
    return found


def compare(text: str, forced: Sequence[int]) -> list[Place]:
    """Hold forced tags against the segments of a text."""
    segmenter = Segmenter()
    segments = [*segmenter.feed(text), *segmenter.finish()]
    places = []
    starts = set()
    for before, after in zip(segments, segments[1:], strict=False):
        starts.add(after.start)
        if after.start in forced:
            what = BOTH
        elif {before.kind, after.kind} != {"speech"}:
            what = ASIDE
        else:
            what = SENTENCE if before.boundary == "sentence" else CLAUSE
        places.append(Place(after.start, what))
    places += [Place(at, NO_START) for at in forced if at not in starts]
    return sorted(places, key=lambda place: place.at)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table, and what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tools.tag_agreement", description=__doc__)
    parser.add_argument("--places", action="store_true", help="print each place where they differ")
    arguments = parser.parse_args(argv)
    console = Console(width=120)
    table = Table("", *NAMES, "all")
    columns: list[Counter[str]] = []
    for name in NAMES:
        texts = [case.text for case in read_gold(name) if not set(case.text) & {"[", "]"}]
        count: Counter[str] = Counter(replies=len(texts))
        for text, forced in zip(texts, forced_tags(texts), strict=True):
            for place in compare(text, forced):
                count[place.what] += 1
                if arguments.places and place.what != BOTH:
                    shown = f"{text[: place.at]}|{text[place.at :]}"
                    console.print(f"{place.what}: {shown!r}", markup=False)
        columns.append(count)
    columns.append(sum(columns, Counter[str]()))
    for what in ("replies", *ROWS):
        table.add_row(what, *(str(count[what]) for count in columns))
    console.print(table)


if __name__ == "__main__":
    main()
