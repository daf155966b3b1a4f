"""A reply in any chunks in, the same segments out, as early as they are certain."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from server.speech.asides import MAX_ASIDE
from server.speech.segmenter import Segmenter, SegmentRules
from tools.segment_figures import segment

# Marks, spaces, joiners, letters of three scripts, and words that take marks another way.
NASTY = list('。．！？!?.…,、;:：—-*_`(（)）「」『』"”’“ \n\r\t\u300012abIA笑あ漢♪☆♡/@=#~')
NASTY += ["\N{GRINNING FACE}", "\U0001f3fd", "\u200d", "\ufe0f", "\u0301", "```", "**", "...", "……"]
NASTY += [
    "Dr.",
    "e.g.",
    "U.S. ",
    "The ",
    "(laughs)",
    "(笑)",
    "p.m. ",
    "*waves*",
    "「えっ？」",
    "No. ",
]
RULES = [
    SegmentRules(),
    SegmentRules(first_min=2, min=4, max=10),
    SegmentRules(min=30, max=40),
    SegmentRules(first_min=1, min=1, max=1),
]


def texts(text: str, marks: Iterable[int] = ()) -> list[str]:
    """The texts alone."""
    return [part.text for part in segment(text, (), marks)]


def kinds(text: str) -> list[tuple[str, str]]:
    """Kinds and texts."""
    return [(part.kind, part.text) for part in segment(text)]


def scramble(rng: random.Random) -> str:
    """A nasty text; often of few scraps, which meet more often so."""
    scraps = rng.sample(NASTY, rng.randrange(2, len(NASTY)))
    return "".join(rng.choice(scraps) for _ in range(rng.randrange(1, rng.choice([10, 60, 300]))))


def check_chunks(seeds: range) -> None:
    """Compare one nasty text a seed, whole, in chunks and letter by letter."""
    for seed in seeds:
        rng = random.Random(seed)
        text = scramble(rng)
        marks = [rng.randrange(len(text) + 1) for _ in range(rng.choice([0, 0, 1, 3]))]
        rules = rng.choice(RULES)
        whole = segment(text, (), marks, rules)
        cuts = [rng.randrange(len(text) + 1) for _ in range(rng.randrange(9))]
        assert segment(text, cuts, marks, rules) == whole, seed
        assert segment(text, range(len(text)), marks, rules) == whole, seed
        assert "".join(part.text for part in whole) == text
        assert all(part.text and part.text == text[part.start : part.end] for part in whole)


def test_chunks_change_nothing() -> None:
    """Nasty texts in random chunks and letter by letter: the same segments, and all the text."""
    check_chunks(range(100))


@pytest.mark.slow
def test_chunks_change_nothing_in_many_texts() -> None:
    """The same, for many texts."""
    check_chunks(range(1_000, 2_500))


def test_what_is_held_back_is_bounded() -> None:
    """However nasty the text, only so much of it waits."""
    for seed in range(200, 260):
        rng = random.Random(seed)
        segmenter = Segmenter()
        given = 0
        for fed, char in enumerate(scramble(rng).replace("```", "``"), 1):
            given += sum(len(part.text) for part in segmenter.feed(char))
            assert fed - given <= 120 + MAX_ASIDE + 400, seed


@pytest.mark.parametrize(
    "unit", ["a", "あ", "(", "*a", "`", '"a', "「あ。", "_a", "😊", "...", "\n", "。", "```\n"]
)
def test_no_repetition_stops_the_flow(unit: str) -> None:
    """Text without an end, and openings that never close, come out all the same."""
    segmenter = Segmenter()
    text = unit * (20_000 // len(unit))
    given = sum(len(part.text) for part in segmenter.feed(text))
    assert given > len(text) - 3_000


# --- what went wrong elsewhere ---


def test_a_short_east_asian_sentence_is_not_held_back() -> None:
    """Three characters are a sentence; no count of characters stands in their way."""
    segmenter = Segmenter()
    assert segmenter.feed("はい！") == []
    assert [part.text for part in segmenter.feed("い")] == ["はい！"]


def test_a_decimal_comma_is_no_clause() -> None:
    """22,1 stays a number, also where the first clause may be cut off."""
    assert texts("It weighs about 22,1 kilos.") == ["It weighs about 22,1 kilos."]


def test_only_the_first_segment_ends_at_a_comma() -> None:
    """The first clause lets the voice begin; later sentences stay whole."""
    assert texts("もしよかったら、行こう。それから、みんなで、食べよう。") == [
        "もしよかったら、",
        "行こう。",
        "それから、みんなで、食べよう。",
    ]


def test_the_first_spoken_clause_counts_not_the_first_segment() -> None:
    """A stage direction before it does not delay the voice."""
    assert texts("*waves* Dear friends, welcome to all of you.")[1] == "Dear friends, "


def test_a_fence_that_never_closes_ends_with_the_reply() -> None:
    """A program that breaks off is not read aloud, and does not loop."""
    assert kinds("See:\n```py\nprint(1)\n") == [("speech", "See:\n"), ("code", "```py\nprint(1)\n")]


def test_a_fence_that_goes_on_for_ever_becomes_speech() -> None:
    """A model that forgets to close a fence is heard again after the limit."""
    parts = segment("```\n" + "I talk and talk. \n" * 2_000)
    assert parts[0].kind == "code"
    assert parts[-1].kind == "speech"


def test_text_before_a_fence_is_spoken_and_nothing_of_the_fence() -> None:
    """What stands before a fence is one segment, the code another, the rest speech."""
    text = "Try this ```x = 1. y``` and see."
    parts = [("speech", "Try this "), ("code", "```x = 1. y``` "), ("speech", "and see.")]
    assert kinds(text) == parts


# --- early ---


@pytest.mark.parametrize(
    ("text", "certain_after"),
    [
        ("Hi! How are you?", "Hi! H"),
        ("Hi!How are you?", "Hi!H"),
        ("そうだね。うん", "そうだね。う"),
        ("It is in the U.S. The rest", "It is in the U.S. The "),
        ("Dear friends, hello", "Dear friends, h"),
        ("やった！✨次", "やった！✨次"),
        ("*waves* Hi", "*waves* H"),
        ("Hello\n\nthere", "Hello\n\nt"),
    ],
)
def test_a_segment_goes_out_when_it_is_certain(text: str, certain_after: str) -> None:
    """The documented look-ahead, and not a code point more."""
    segmenter = Segmenter()
    fed = ""
    for char in text:
        fed += char
        if segmenter.feed(char):
            break
    assert fed == certain_after


# --- boundaries ---


def test_a_boundary_says_what_ended_a_segment() -> None:
    """A clause, a sentence, a tag inside one, and the reply's end."""
    text = "That being said, I am here. Look at this"
    parts = segment(text, marks=[33])
    assert [part.boundary for part in parts] == ["clause", "sentence", "tag", "final"]


def test_a_whole_sentence_before_a_tag_is_a_sentence() -> None:
    """The tag only made it certain."""
    assert [part.boundary for part in segment("Oh no! Yes", marks=[6])] == ["sentence", "final"]


def test_spaces_alone_before_a_tag_are_no_segment() -> None:
    """They stay with the words after it."""
    assert texts("  Hi", marks=[2]) == ["  Hi"]


def test_a_tag_in_a_fence_leaves_it_code() -> None:
    """What follows the tag is code until the fence closes."""
    parts = segment("```\na\nb\n```\nHi.", marks=[6])
    assert [part.kind for part in parts] == ["code", "code", "speech"]


def test_spaces_at_the_end_of_nothing_are_a_segment() -> None:
    """All of the text belongs to some segment."""
    assert texts(" \n") == [" \n"]
    assert texts("") == []


# --- length ---


def test_a_short_sentence_joins_the_next_while_something_is_heard() -> None:
    """At first it goes out alone; later it waits for one more."""
    assert texts("Hi! Sure thing. OK. Let me look at it.") == [
        "Hi! ",
        "Sure thing. ",
        "OK. Let me look at it.",
    ]


def test_a_short_sentence_at_a_lines_end_stands_alone() -> None:
    """A line's end is a pause that the writer wanted."""
    assert texts("Sure thing.\nOK.\nLet me look.") == ["Sure thing.\n", "OK.\n", "Let me look."]


def test_a_joined_sentence_before_an_aside_goes_out_as_a_sentence() -> None:
    """It waited for a sentence, and something else came."""
    parts = segment("Sure thing. OK. *nods* Bye now.")
    assert [(part.text, part.boundary) for part in parts[1:3]] == [
        ("OK. ", "sentence"),
        ("*nods* ", "sentence"),
    ]


def test_a_long_sentence_is_cut_at_its_last_clause_or_space() -> None:
    """A clause comes first, then a space, and then any place between two clusters."""
    rules = SegmentRules(first_min=30, min=1, max=30)
    parts = segment("one two three four, five six seven eight", rules=rules)
    assert [(part.text, part.boundary) for part in parts] == [
        ("one two three four, ", "clause"),
        ("five six seven eight", "final"),
    ]
    assert segment("one two three four five six seven", rules=rules)[0].boundary == "length"
    family = "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}"
    assert all(len(part.text) % 5 == 0 for part in segment(family * 40, rules=rules))


def test_a_quotation_is_not_cut_until_it_is_long() -> None:
    """A short one belongs to its sentence; a long one comes sentence by sentence."""
    assert texts("「行く。待って。」と言った。") == ["「行く。待って。」と言った。"]
    long = "「今日は海を見て楽しかった。" + "とても長いお話がいつまでも続くのでした。」"
    assert texts(long) == [long[:14], long[14:]]


def test_an_unclosed_quote_ends_with_its_line() -> None:
    """A quotation that was never closed does not hold the next line."""
    assert texts('"Oh. No\nYes. Sure thing.') == ['"Oh. No\n', "Yes. ", "Sure thing."]


def test_a_segment_knows_its_language() -> None:
    """Each by its script, within the languages asked for."""
    assert [part.lang for part in segment("こんにちは。Hello there! 漢字。")] == ["ja", "en", "ja"]
    rules = SegmentRules(langs=("zh", "en"))
    assert [part.lang for part in segment("你好。Hello!", rules=rules)] == ["zh", "en"]


@pytest.mark.parametrize(
    ("text", "kind", "aside"),
    [
        ("ふふっ、面白い話だね。うん。（うなずく）またね。", "action", "（うなずく）"),
        ("“是的。”他说。（点头）再见。", "action", "（点头）"),
        ("I went there twice. Yes. (not again) Okay.", "thought", "(not again) "),
    ],
)
def test_brackets_behind_a_short_sentence_are_not_spoken(text: str, kind: str, aside: str) -> None:
    """A sentence that would wait for the next one is whole, so they are no part of it."""
    segmenter = Segmenter()
    segments = segmenter.feed(text) + segmenter.finish()
    assert (kind, aside) in [(segment.kind, segment.text) for segment in segments]
