"""Compiles one grammar, within bounds.

llguidance counts its own work and gives up at its limits; what it does not count, the clock does.
A grammar is tried once before it is handed out: one that allows nothing, or whose first mask is
already too much work, is refused here and not in the middle of a batch.
"""

from __future__ import annotations

import re
import time

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from engine.errors import InvalidGrammar
from engine.grammar.source import lark_of
from engine.grammar.state import CompiledGrammar
from engine.grammar.vocabulary import Mask, Vocabulary
from engine.sampling_params import Grammar

MAX_COMPILE_S = 1.0
"""Processor time; what takes longer to compile may also take long to follow."""
_LONGEST_REASON = 300
_SIMPLIFY = "simplify it"
_PLACE = re.compile(r"^at \d+\(\d+\): ")
"""Where in a text that the caller did not write."""

_LIMITS = LLParserLimits(
    initial_lexer_fuel=500_000,
    step_lexer_fuel=50_000,  # some 4 ms
    step_max_items=20_000,  # some 1 ms
    max_lexer_states=20_000,  # some 40 MB
    max_grammar_size=100_000,
    verbose_errors=False,  # they would hold what was said
)


def compile_grammar(grammar: Grammar, vocabulary: Vocabulary) -> CompiledGrammar:
    """Compile and try a grammar; gives up the interpreter's lock for most of it.

    Deep grammars recurse in native code: call it in a thread of `engine.grammar.compile_threads`.

    Raises:
        InvalidGrammar: It is not what its kind says, uses what is not supported, allows no reply,
            or is too much work.
    """
    started = time.thread_time()
    lark = lark_of(grammar)
    matcher, mask = _try(lark, vocabulary.backend, vocabulary)
    first_mask = None
    if vocabulary.first_backend is not None:
        first_mask = _try(lark, vocabulary.first_backend, vocabulary)[1] & vocabulary.text_mask
    if time.thread_time() - started > MAX_COMPILE_S:
        raise InvalidGrammar(f"takes more than {MAX_COMPILE_S:g} s to compile", _SIMPLIFY)
    if not (mask & vocabulary.text_mask).any():
        raise InvalidGrammar("allows no reply", "leave a way to begin one")
    return CompiledGrammar(matcher, vocabulary, first_mask)


def _try(lark: str, backend: LLTokenizer, vocabulary: Vocabulary) -> tuple[LLMatcher, Mask]:
    """Return a matcher at the start, and the mask there."""
    matcher = LLMatcher(backend, lark, log_level=0, limits=_LIMITS)
    if matcher.is_error():
        raise InvalidGrammar(f"does not compile: {_reason(matcher)}", "write it otherwise")
    probe = matcher.deep_copy()
    mask = np.frombuffer(probe.compute_bitmask(), dtype=np.uint8)
    if probe.is_error():
        if probe.stop_reason() in ("ParserTooComplex", "LexerTooComplex"):
            raise InvalidGrammar("takes more work per token than is allowed", _SIMPLIFY)
        reason = "allows no reply, or is too much work to follow"
        raise InvalidGrammar(reason, "leave a way to begin a reply, and simplify it")
    words = np.zeros(vocabulary.num_words, dtype=np.uint32)
    words.view(np.uint8)[: len(mask)] = mask[: words.nbytes]
    return matcher, words


def _reason(matcher: LLMatcher) -> str:
    """The line of llguidance's message that says what is wrong; others show source and stack."""
    lines = [line.strip() for line in matcher.get_error().split("\n")]
    error = next((line for line in lines if line.startswith("error: ")), lines[0])
    if error.startswith("panic"):
        return "it uses something that this model's vocabulary does not have"
    error = _PLACE.sub("", error).removeprefix("error: ")
    return error if len(error) <= _LONGEST_REASON else error[: _LONGEST_REASON - 3] + "..."
