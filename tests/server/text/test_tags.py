"""Raw text in, clean text, faces and motions out."""

from __future__ import annotations

import random

import pytest

from server.text.tags import (
    MAX_HELD_SPACES,
    ExpressionTag,
    MotionTag,
    Piece,
    TagParser,
    TextPiece,
    cut_raw_text,
    strip_tags,
)

FACES = ("happy", "sad", "Surprised")
MOTIONS = ("wave", "Nod")
SCRAPS = [
    "[happy]",
    "[sad]",
    "[SAD]",
    "[sad",
    "[",
    "]",
    "happy]",
    " ",
    "  ",
    "\n",
    "\u3000",
    " " * 40,
]
SCRAPS += [
    "[happy:0.6]",
    "[sad:1.0",
    "[motion:wave]",
    "[Motion:nod]",
    "[motion:",
    ":0.5]",
    "[happy:",
]
SCRAPS += ["a", "b c", "é", "葵！", "\N{GRINNING FACE}", "[x]", "\n\n"]


def parse(*parts: str) -> tuple[str, list[tuple[str, int]]]:
    """Feed parts; return the clean text and the tags with their places."""
    parser = TagParser(FACES, MOTIONS)
    pieces: list[Piece] = []
    for part in parts:
        pieces += parser.feed(part)
    pieces += parser.finish()
    text = "".join(piece.text for piece in pieces if isinstance(piece, TextPiece))
    assert parser.clean_length == len(text)
    tags = [(piece.name, piece.offset) for piece in pieces if not isinstance(piece, TextPiece)]
    return text, tags


def tags_of(raw: str) -> list[Piece]:
    """All but the text."""
    parser = TagParser(FACES, MOTIONS)
    pieces = parser.feed(raw) + parser.finish()
    return [piece for piece in pieces if not isinstance(piece, TextPiece)]


def scramble(rng: random.Random) -> str:
    """Raw text full of tags, half tags and spaces."""
    return "".join(rng.choice(SCRAPS) for _ in range(rng.randrange(14)))


@pytest.mark.parametrize(
    ("raw", "clean", "tags"),
    [
        ("[happy] Hello.", "Hello.", [("happy", 0)]),
        ("[happy]Hello. [sad] Oh.", "Hello. Oh.", [("happy", 0), ("sad", 6)]),
        ("Hello.[sad] Oh.", "Hello. Oh.", [("sad", 6)]),
        ("Hello. [sad]Oh.", "Hello. Oh.", [("sad", 6)]),
        ("Hello.\n[sad]\n\nOh.", "Hello.\n\nOh.", [("sad", 6)]),
        ("a [sad] [happy] b", "a b", [("sad", 1), ("happy", 1)]),
        ("あ。[sad]い。", "あ。い。", [("sad", 2)]),
        ("Bye. [happy]", "Bye.", [("happy", 4)]),
        ("  [HAPPY] Hi", "Hi", [("happy", 0)]),
        ("[surprised] Oh", "Oh", [("Surprised", 0)]),
        ("[[happy]] x", "[] x", [("happy", 1)]),
        ("see [1] and [angry]", "see [1] and [angry]", []),
        ("[happ y]", "[happ y]", []),
        ("so [hap", "so [hap", []),
        ("[happy:0.6] Hi", "Hi", [("happy", 0)]),
        ("[happy][motion:wave] Hi", "Hi", [("happy", 0), ("wave", 0)]),
        ("Hi [MOTION:NOD] you", "Hi you", [("Nod", 2)]),
        ("[motion:jump] Hi", "[motion:jump] Hi", []),
        ("[wave] Hi", "[wave] Hi", []),
        ("so [happy:0.", "so [happy:0.", []),
        ("a  b \n", "a  b \n", []),
        ("[happy]", "", [("happy", 0)]),
        ("", "", []),
    ],
)
def test_tags_vanish_and_spaces_stay_single(
    raw: str, clean: str, tags: list[tuple[str, int]]
) -> None:
    """A tag leaves neither itself nor a second space behind."""
    assert parse(raw) == (clean, tags)


def test_without_declared_names_every_text_stays() -> None:
    """A bare model's brackets and spaces are its own."""
    parser = TagParser(())
    assert parser.feed("  [happy] x ") == [TextPiece("  [happy] x ")]
    assert parser.finish() == []


@pytest.mark.parametrize(
    ("raw", "clean"),
    [("Hm. [sa", "Hm."), ("[", ""), ("[happy:0.", ""), ("Hm [1", "Hm [1"), ("Hm \n", "Hm \n")],
)
def test_half_a_tag_before_a_stop_string_is_dropped(raw: str, clean: str) -> None:
    """And nothing else is: spaces and other brackets before it are text."""
    parser = TagParser(FACES, MOTIONS)
    pieces = parser.feed(raw) + parser.finish(at_stop_string=True)
    assert "".join(piece.text for piece in pieces if isinstance(piece, TextPiece)) == clean


@pytest.mark.parametrize("weight", ["0.1", "0.6", "0.95", "0.10", "1.0", "1.00"])
def test_a_face_may_have_a_weight(weight: str) -> None:
    """One or two decimals, from 0.1 to 1; without one it is the whole face."""
    assert tags_of(f"[Happy:{weight}]") == [ExpressionTag("happy", 0, float(weight))]
    assert tags_of("[happy]") == [ExpressionTag("happy", 0, 1.0)]


@pytest.mark.parametrize(
    "tag",
    ["[happy:0.05]", "[happy:0.0]", "[happy:1.1]", "[happy:2]", "[happy:]", "[happy:.5]"]
    + ["[happy:0.555]", "[happy: 0.5]", "[motion:wave:0.5]", "[motion:0.5]", "[0.5]"],
)
def test_other_weights_make_no_tag(tag: str) -> None:
    """Nothing is guessed: it stays in the text."""
    assert parse(f"a {tag} b") == (f"a {tag} b", [])


def test_faces_and_motions_cannot_be_taken_for_each_other() -> None:
    """Not even a face that is called motion."""
    parser = TagParser(["motion", "wave"], ["wave"])
    assert parser.feed("[motion:0.5][motion:wave][motion][wave]") == [
        ExpressionTag("motion", 0, 0.5),
        MotionTag("wave", 0),
        ExpressionTag("motion", 0),
        ExpressionTag("wave", 0),
    ]


def test_half_a_tag_is_never_shown() -> None:
    """A tag that comes letter by letter shows nothing until it is whole."""
    parser = TagParser(FACES, MOTIONS)
    assert parser.feed("Hi") == [TextPiece("Hi")]
    for letter in " [happy":
        assert parser.feed(letter) == []
    assert parser.feed("]") == [ExpressionTag("happy", 2)]
    assert parser.feed(" you") == [TextPiece(" you")]


def test_what_cannot_become_a_tag_is_shown_at_once() -> None:
    """Text is held only while it is the beginning of a declared tag."""
    parser = TagParser(FACES, MOTIONS)
    assert parser.feed("[hax") == [TextPiece("[hax")]
    assert parser.feed("[1") == [TextPiece("[1")]


def test_words_are_not_held_back() -> None:
    """A usual piece of text passes as it is; only its last spaces wait."""
    parser = TagParser(FACES, MOTIONS)
    assert parser.feed("Hello") == [TextPiece("Hello")]
    assert parser.feed(" there ") == [TextPiece(" there")]
    assert parser.feed("you") == [TextPiece(" you")]


def test_what_is_held_is_the_end_of_the_raw_text() -> None:
    """A reply that is cut off takes it off its raw text, and both agree again."""
    parser = TagParser(FACES, MOTIONS)
    assert parser.feed("Hi [ha") == [TextPiece("Hi")]
    assert parser.held == " [ha"
    parser.feed("ppy] [s")
    assert parser.held == " [s"


def test_the_result_does_not_depend_on_the_chunks() -> None:
    """Any cutting of a text gives the same clean text and the same places."""
    rng = random.Random(3)
    for _ in range(1_500):
        raw = scramble(rng)
        cuts = sorted(rng.randrange(len(raw) + 1) for _ in range(rng.randrange(6)))
        parts = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
        assert parse(*parts) == parse(raw) == parse(*raw), repr(raw)


def test_what_is_held_is_bounded() -> None:
    """Neither spaces nor brackets can make the parser keep more than its bounds."""
    rng = random.Random(4)
    longest_tag = max(len(name) for name in FACES) + len("[:0.55]")
    for _ in range(500):
        parser = TagParser(FACES, MOTIONS)
        for character in scramble(rng) + " " * rng.randrange(200):
            parser.feed(character)
            assert len(parser.held) < MAX_HELD_SPACES + longest_tag


def test_no_declared_tag_is_ever_in_the_clean_text_twice_parsed() -> None:
    """Leading spaces go, and what is left of ordinary text is a part of the raw text."""
    for raw in ("[happy] Hi [sad] you", "Hi", " Hi [x]"):
        assert strip_tags(strip_tags(raw, FACES), FACES) == strip_tags(raw, FACES)


def test_a_cut_keeps_the_clean_beginning() -> None:
    """Cutting the raw text at a clean place leaves that clean text, but for spaces at its end."""
    rng = random.Random(5)
    for _ in range(100):
        raw = scramble(rng)
        clean = strip_tags(raw, FACES, MOTIONS)
        for end in range(len(clean) + 1):
            cut = cut_raw_text(raw, FACES, end, MOTIONS)
            assert raw.startswith(cut)
            assert strip_tags(cut, FACES, MOTIONS).rstrip() == clean[:end].rstrip(), (raw, end)


def test_a_cut_leaves_out_the_face_that_comes_next() -> None:
    """What was not heard had no face either; what was heard keeps its own."""
    raw = "[happy] Hello. [sad] Oh."
    assert cut_raw_text(raw, FACES, 6) == "[happy] Hello."
    assert cut_raw_text(raw, FACES, 0) == ""
    assert cut_raw_text(raw, FACES, 10) == raw
