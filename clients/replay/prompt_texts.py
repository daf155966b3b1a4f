"""Prompts as words, of as many tokens as a trace says, for targets that take text.

With the target's tokenizer the lengths are exact: only words are used that are one token each,
whether a text begins with them or they follow another, and every text is encoded once more before
it is used. Chat templates add their own tokens around. Without a tokenizer common English words
stand for one token each, which is an estimate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import tokenizers

from clients.replay.plain_words import PLAIN_WORDS
from clients.replay.prompts import draw_opening, draw_turn
from clients.replay.script import ScriptError, Session
from clients.replay.token_estimate import estimated_tokens

FEWEST_WORDS = 16
MOST_WORDS = 2048
"""Vocabularies hold common words first, so later ones add rare ones only."""

_LATIN = re.compile(r"[a-z]+")
_ANY = re.compile(r"[^\W\d_]+")
_SPACES = "Ġ▁"
"""How byte-level and SentencePiece vocabularies write the space before a word."""
_INNER_SPACE = re.compile(f"[{_SPACES}]+")
"""Some vocabularies have tokens of several words; such words do not stay apart."""


class PromptTexts:
    """Makes openings and turns of words that are a function of the script alone.

    Attributes:
        is_exact: Whether lengths are those of a tokenizer.

    Args:
        tokenizer_json: A ``tokenizer.json`` or the folder it lies in; ``None`` for estimates.

    Raises:
        ScriptError: There is no such file, it cannot be read, or it knows too few words.
    """

    def __init__(self, tokenizer_json: Path | None) -> None:
        self.is_exact = tokenizer_json is not None
        self._tokenizer: tokenizers.Tokenizer | None = None
        self._words: Sequence[str] = PLAIN_WORDS
        if tokenizer_json is not None:
            self._tokenizer, name = _load(tokenizer_json)
            self._words = _steady_words(self._tokenizer)
            if len(self._words) < FEWEST_WORDS:
                raise ScriptError(
                    f"{name} has {len(self._words)} words that are one token each, "
                    f"{FEWEST_WORDS} are needed for texts of exact length; leave the tokenizer "
                    "out, and lengths are estimated"
                )

    def opening(self, session: Session) -> str:
        """Return the persona's prompt: its own words, or as many as it has tokens.

        Sessions of a persona share it.
        """
        return session.persona_text or self._text(draw_opening(session, len(self._words)))

    def turn(self, session: Session, index: int) -> str:
        """Return what a turn says: its own words, or as many as it has tokens.

        A block depends on its hash id alone, so prompts that share blocks begin alike.
        """
        text = session.turns[index].text
        return text or self._text(draw_turn(session, index, len(self._words)))

    def count(self, text: str) -> int:
        """Return how many tokens a text is by itself, an estimate without a tokenizer."""
        if self._tokenizer is None:
            return estimated_tokens(text)
        # Without offsets, which nobody needs here, it takes half the time.
        return len(self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids)

    def _text(self, numbers: Sequence[int]) -> str:
        text = " ".join(self._words[number] for number in numbers)
        if self._tokenizer is not None and (found := self.count(text)) != len(numbers):
            raise ScriptError(
                f"the tokenizer makes {found} tokens of {len(numbers)} words that are one token "
                "each: it joins words; leave the tokenizer out, and lengths are estimated"
            )
        return text


def _load(path: Path) -> tuple[tokenizers.Tokenizer, str]:
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise ScriptError(f"there is no {file}; name a tokenizer.json, or the folder it lies in")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise ScriptError(f"{file} cannot be read as a tokenizer: {error}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, str(file)


def _steady_words(tokenizer: tokenizers.Tokenizer) -> list[str]:
    """Return words that are one token at the start of a text and behind any other of them."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    names = [name.lstrip(_SPACES) for name in sorted(vocabulary, key=vocabulary.__getitem__)]
    parts = [_INNER_SPACE.split(name) for name in names]
    joined = {word for words in parts if len(words) > 1 for word in words}
    words: list[str] = []
    for pattern in (_LATIN, _ANY):
        found = [n for n in dict.fromkeys(names) if pattern.fullmatch(n) and n not in joined]
        words = list(islice(_single_tokens(tokenizer, found), MOST_WORDS))
        if len(words) >= FEWEST_WORDS:
            break
    return words


def _single_tokens(tokenizer: tokenizers.Tokenizer, names: Sequence[str]) -> Iterator[str]:
    """Yield those that are one token of that name, at the start and behind a word."""
    for begin in range(0, len(names), MOST_WORDS):
        part = names[begin : begin + MOST_WORDS]
        alone = tokenizer.encode_batch(list(part), add_special_tokens=False)
        twice = tokenizer.encode_batch([f"{n} {n}" for n in part], add_special_tokens=False)
        for name, one, two in zip(part, alone, twice, strict=True):
            if len(one.ids) == 1 and len(two.ids) == 2 and one.tokens[0].lstrip(_SPACES) == name:
                yield name
