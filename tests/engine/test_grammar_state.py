"""A reply's place in its grammar: made anew at any point, ended only where it is complete."""

from __future__ import annotations

import random

import numpy as np
import pytest

from engine.grammar.compile import compile_grammar
from engine.grammar.state import CompiledGrammar, fill_masks
from engine.grammar.tokens import vocabulary_of
from engine.sampling_params import Grammar, GrammarKind
from engine.tokenizer import Tokenizer
from tests.support.grammars import allowed, draw_reply, tiny_tokenizer
from tests.support.tiny_models import EOS, VOCAB_SIZE
from tests.support.tokenizers import one_of_each_kind
from tools.grammar_cases import random_case

TOKENIZER = tiny_tokenizer()
VOCABULARY = vocabulary_of(TOKENIZER, VOCAB_SIZE)
OTHER_END = 5


def compiled(kind: GrammarKind, source: str) -> CompiledGrammar:
    """Compile for the tiny models' tokenizer."""
    return compile_grammar(Grammar(kind=kind, source=source), VOCABULARY)


def ids(text: str) -> list[int]:
    """Tokens of a text."""
    return TOKENIZER.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("seed", range(12))
def test_a_state_made_anew_allows_the_same(seed: int) -> None:
    """At every point of a random reply, also for a reply that has already ended."""
    grammar = compile_grammar(random_case(random.Random(seed)).grammar, VOCABULARY)
    reply = draw_reply(grammar, [EOS], seed)
    followed = grammar.start([EOS])
    for length in range(len(reply) + 1):
        followed.advance(reply[:length])
        fresh = grammar.start([EOS])
        fresh.advance([7, 8, *reply[:length]], 2)
        assert allowed(fresh) == allowed(followed)
        assert fresh.num_consumed == length


def test_end_tokens_come_exactly_when_the_grammar_is_complete() -> None:
    """All of them, the request's own among them; and when nothing else can follow, only they."""
    state = compiled("regex", "a{2,3}").start([EOS, OTHER_END, VOCAB_SIZE + 9])
    [a] = ids("a")
    ends = {EOS, OTHER_END}
    state.advance([a])
    assert not ends & set(allowed(state))
    state.advance([a, a])
    assert ends < set(allowed(state))
    state.advance([a, a, a])
    assert set(allowed(state)) == ends


def test_an_end_token_that_is_text_elsewhere_only_ends() -> None:
    """It may not be produced where it would cut the reply off, even if the grammar has it."""
    [a], [b] = ids("a"), ids("b")
    state = compiled("regex", "[ab]{2}").start([b])
    assert b not in allowed(state)
    state.advance([a, a])
    assert allowed(state) == [b]


def test_after_an_end_token_only_end_tokens_follow() -> None:
    """A reply that goes on past its end, for measurements, says nothing more."""
    state = compiled("regex", "a+").start([EOS])
    state.advance([*ids("a"), EOS])
    assert allowed(state) == [EOS]
    state.advance([*ids("a"), EOS, EOS])
    assert allowed(state) == [EOS]


def test_a_reply_that_the_grammar_does_not_allow_is_an_error() -> None:
    """It is said in a sentence, and stays."""
    state = compiled("regex", "a+").start([EOS])
    state.advance(ids("b"))
    assert "no way on" in state.error
    state.advance([*ids("b"), *ids("a")])
    assert allowed(state) == []


def test_states_of_one_grammar_are_independent() -> None:
    """One that fails or ends takes no other along."""
    grammar = compiled("choice", '["ab", "ba"]')
    good, bad = grammar.start([EOS]), grammar.start([EOS])
    bad.advance(ids("c"))
    assert bad.error
    good.advance(ids("a"))
    assert {TOKENIZER.decode([token_id]) for token_id in allowed(good)} == {"b"}


def test_many_masks_at_once_are_those_made_one_by_one() -> None:
    """Rows ended, failed, at the start and under way, with threads and without."""
    from llguidance import LLExecutor

    grammar = compiled("json_schema", "{}")
    states = []
    for seed in range(20):
        state = grammar.start([EOS])
        state.advance(draw_reply(grammar, [EOS], seed, longest=seed))
        states.append(state)
    masks = np.zeros((32, VOCABULARY.num_words), dtype=np.uint32)
    again = np.zeros_like(masks)
    fill_masks(states, masks, LLExecutor(2))
    for row, state in enumerate(states):
        fill_masks([state], again[row : row + 1])
    assert (masks == again).all()


@pytest.mark.parametrize("kind", one_of_each_kind())
def test_text_follows_the_grammar_with_every_tokenizer(kind: str) -> None:
    """What is decoded, from the first character on, is what the grammar allows."""
    tokenizer: Tokenizer = one_of_each_kind()[kind]
    vocabulary = vocabulary_of(tokenizer, tokenizer.vocab_size + 5)
    assert tokenizer.eos_token is not None
    end = tokenizer.token_to_id(tokenizer.eos_token)
    assert end is not None
    for seed in range(15):
        case = random_case(random.Random(f"{kind} {seed}"))
        reply = draw_reply(compile_grammar(case.grammar, vocabulary), [end], seed)
        assert reply[-1] == end
        assert case.judge(tokenizer.decode(reply[:-1])), case.grammar


def test_a_first_token_that_loses_its_space_is_followed_without_it() -> None:
    """With SentencePiece's kind, a word with its space may begin a reply that has none."""
    tokenizer = one_of_each_kind()["llama2"]
    vocabulary = vocabulary_of(tokenizer, tokenizer.vocab_size)
    state = compile_grammar(Grammar(kind="regex", source="the x"), vocabulary).start([2])
    with_space = tokenizer.token_to_id("▁the")
    assert with_space is not None
    assert with_space in allowed(state)
    state.advance([with_space])
    assert not state.error
    assert allowed(state)
