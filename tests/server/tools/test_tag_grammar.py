"""What the grammar of tags lets through, token by token; `tools.tag_judge` has the last word."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from engine.grammar.compile import compile_grammar
from engine.grammar.state import CompiledGrammar
from engine.grammar.tokens import vocabulary_of
from engine.grammar.vocabulary import Vocabulary
from engine.sampling_params import Grammar
from server.text.tag_rules import Every
from server.text.tags import strip_tags
from server.tools.tag_grammar import tagged_reply
from tests.support.grammars import allowed, draw_reply, tiny_tokenizer
from tests.support.tiny_models import EOS, VOCAB_SIZE
from tools.tag_judge import judge, leaks

FACES, MOTIONS = ("happy", "sad"), ("wave",)
WORDS = ["[happy]", "[sad:0.6]", "[motion:wave]", *"abIJ5あ&:/", "Mr", "e.g", "12", "\u200b", "…"]
SIGNS = [*'.!?。！「」()" \n\u3000', "..", "!? ", ". "]
PIECES = [*"[]01", "happy", "sad", "motion:", "wave", *WORDS, *SIGNS]
END = len(PIECES)
VOCABULARY = Vocabulary([*(piece.encode() for piece in PIECES), b""])


def compiled(
    every: Every, faces: Sequence[str] = FACES, motions: Sequence[str] = MOTIONS
) -> CompiledGrammar:
    """The grammar over a vocabulary of the pieces that matter."""
    source = tagged_reply(tuple(faces), tuple(motions), every)
    return compile_grammar(Grammar(kind="lark", source=source), VOCABULARY)


GRAMMARS: dict[Every, CompiledGrammar] = {
    "segment": compiled("segment"),
    "reply": compiled("reply"),
}


def takes(text: str, every: Every = "segment", grammar: CompiledGrammar | None = None) -> bool:
    """Whether a text is a whole reply; it has to be made of the pieces."""
    state = (grammar or GRAMMARS[every]).start([END])
    ids: list[int] = []
    while text:
        piece = max((piece for piece in PIECES if text.startswith(piece)), key=len)
        ids.append(PIECES.index(piece))
        text = text[len(piece) :]
    for end in range(len(ids)):
        state.advance(ids[:end])
        if ids[end] not in allowed(state):
            return False
    state.advance(ids)
    return END in allowed(state)


@pytest.mark.parametrize(
    "text",
    [
        "[happy]a",
        "[happy] a",
        "[sad:0.6]a",
        "[happy][motion:wave] a",
        "[motion:wave]a",
        "[happy]\n\na",
        "[happy]a. [sad]b. ",
        "[happy]あ。[sad]い"[:8],
        "[happy]a [sad] b",
        "[happy]a.",
        '[happy]a!"\n\n',
    ],
)
def test_tags_and_text_by_turns_are_a_reply(text: str) -> None:
    """Beginning with a tag, and ending after text."""
    assert takes(text)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        " [happy]a",
        "",
        "[happy]",
        "[happy] ",
        "[happy]\u200b",
        "[happy]a[sad]",
        "[happy]a[",
        "[happy]a]",
        "[happy][sad]a",
        "[happy] [motion:wave]a",
        "[motion:wave][happy]a",
        "[motion:wave][motion:wave]a",
        "[0]a",
        "[happy:0.0]a",
        "[wave]a",
        "[motion:happy]a",
    ],
)
@pytest.mark.parametrize("every", ["segment", "reply"])
def test_nothing_else_is(text: str, every: Every) -> None:
    """No half tag, no foreign one, none without words, and no words before the first."""
    assert not takes(text, every)


@pytest.mark.parametrize(
    "text",
    [
        "a. b",
        "a! b",
        "a? b",
        "あ。あ",
        "a！あ",
        "a!あ",
        "a\nb",
        'a." b',
        "「あ。」あ",
        "a!? b",
        "1. a. b",
    ],
)
def test_a_sentence_begins_with_a_tag(text: str) -> None:
    """Unless the reply has to begin with one only."""
    assert not takes("[happy]" + text)
    assert takes("[happy]" + text, "reply")


@pytest.mark.parametrize(
    "text",
    [
        "5.5",
        "a.b/a",
        "a.b/?a&b",
        "a.. b",
        "a... b",
        "a… b",
        "Mr. b",
        "a Mr. b",
        "(e.g. b)",
        "J. J. a",
        "1. a",
        "12. a",
        "\n1. a",
    ],
)
def test_some_signs_end_no_sentence(text: str) -> None:
    """Decimals, addresses, ellipses, abbreviations, initials, numbers of lists."""
    assert takes("[happy]" + text)


@pytest.mark.parametrize("text", ["aMr. b", "a I. b", "a 12. b"])
def test_what_only_looks_like_an_abbreviation_is_none(text: str) -> None:
    """The dot ends a sentence there."""
    assert not takes("[happy]" + text)


def test_names_are_compared_as_they_are_declared() -> None:
    """Only one case is written, so that front ends may compare."""
    grammar = compiled("reply", ["Sad"], [])
    assert not takes("[sad]a", grammar=grammar)


@pytest.mark.parametrize(
    ("text", "is_one"), [("a. [sad]b", True), ("a", True), ("[sad]a", False), ("a. b", False)]
)
def test_what_goes_on_in_the_middle_begins_with_text(text: str, is_one: bool) -> None:
    """Only what follows its first sentence needs a tag."""
    source = tagged_reply(FACES, MOTIONS, "segment", goes_on=True)
    grammar = compile_grammar(Grammar(kind="lark", source=source), VOCABULARY)
    assert takes(text, grammar=grammar) is is_one


def test_either_kind_of_name_may_be_missing() -> None:
    """But not both."""
    assert takes("[happy]a", grammar=compiled("segment", ["happy"], []))
    assert takes("[motion:wave]a", grammar=compiled("segment", [], ["wave"]))
    with pytest.raises(ValueError, match="no expression"):
        tagged_reply((), (), "reply")


@pytest.mark.parametrize("every", ["segment", "reply"])
def test_random_choices_come_to_legal_replies(every: Every) -> None:
    """Whatever is drawn, and wherever it is cut off."""
    for seed in range(200):
        rng = random.Random(seed)
        state, ids = GRAMMARS[every].start([END]), list[int]()
        while len(ids) < 40 and END not in ids:
            state.advance(ids)
            choices = [
                i for i in allowed(state) if PIECES[i : i + 1] != ["1"] or rng.random() < 0.5
            ]
            assert choices, (state.error, ids)
            ids.append(END if END in choices and rng.random() < 0.1 else rng.choice(choices))
        text = "".join(PIECES[i] for i in ids if i != END)
        verdict = judge(text, FACES, MOTIONS, every=every, is_whole=ids[-1] == END)
        assert verdict.is_legal, (verdict, text)


@pytest.mark.parametrize("every", ["segment", "reply"])
def test_the_grammar_allows_what_the_judge_does(every: Every) -> None:
    """On random texts, both ways: nothing more, and nothing less."""
    num_legal = 0
    for seed in range(1500):
        rng = random.Random(seed)
        text = ""
        for _ in range(rng.randrange(1, 4)):
            text += rng.choice(
                ["[happy]", "[sad:0.6]", "[motion:wave]", "[happy][motion:wave]", ""]
            )
            text += "".join(rng.choice(WORDS[3:] + SIGNS) for _ in range(rng.randrange(5)))
        is_legal = judge(text, FACES, MOTIONS, every=every).is_legal
        assert takes(text, every) is is_legal, text
        num_legal += is_legal
    assert num_legal > 200


@pytest.mark.parametrize("every", ["segment", "reply"])
def test_random_tokens_of_a_real_vocabulary_come_to_legal_replies(every: Every) -> None:
    """Tokens that are parts of characters, and such that hold several signs, included."""
    tokenizer = tiny_tokenizer()
    source = tagged_reply(FACES, MOTIONS, every)
    vocabulary = vocabulary_of(tokenizer, VOCAB_SIZE)
    grammar = compile_grammar(Grammar(kind="lark", source=source), vocabulary)
    for seed in range(200):
        ids = draw_reply(grammar, [EOS], seed, longest=60)
        is_whole = ids[-1] == EOS
        text = tokenizer.decode(ids[:-1] if is_whole else ids)
        verdict = judge(text, FACES, MOTIONS, every=every, is_whole=is_whole)
        assert verdict.is_legal, (verdict, text)
        if is_whole:
            assert not leaks(strip_tags(text, FACES, MOTIONS))


def test_the_most_names_of_the_greatest_length_can_be_compiled() -> None:
    """Within the engine's bounds, and so can the vocabulary's oddest tokens be followed."""
    faces = [f"Face{'x' * 25}{i:03}" for i in range(64)]
    motions = [f"Move{'y' * 25}{i:03}" for i in range(64)]
    source = tagged_reply(tuple(faces), tuple(motions), "segment")
    odd = [bytes([first]) for first in range(255)]
    odd += [(a + b).encode() for a in PIECES for b in PIECES]
    vocabulary = Vocabulary([*sorted(set(odd)), b""])
    grammar = compile_grammar(Grammar(kind="lark", source=source), vocabulary)
    end = vocabulary.size - 1
    for seed in range(5):
        assert draw_reply(grammar, [end], seed, longest=200)
