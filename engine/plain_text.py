"""Encodes text in such a way that nothing in it can become a control token.

A *control token* is a token added to the vocabulary by name, such as ``<|im_start|>`` or
``<think>``: all special ones, and of the others those with ASCII punctuation in their name. Runs
of spaces or line breaks and whole words are added by some tokenizers too; these are ordinary text,
and a model has to get them as it was trained.

``PlainEncoder`` is the tokenizer without its control tokens. It shares the model, so it costs no
second vocabulary. It comes in three manners, because some tokenizers put a space in front of the
first word of a text: ``start`` for the beginning of a prompt, ``inner`` for what stands after a
control token, each as the whole tokenizer would do it, and ``bare`` for what goes on in the middle
of a text.
"""

from __future__ import annotations

import json
import os
import re
import string
from collections.abc import Sequence
from typing import Any

import tokenizers
from tokenizers import normalizers, pre_tokenizers

from engine.errors import InvalidParameter

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Texts come one by one: a pool of threads would have nothing to share, and complain of every fork.

_PUNCTUATION = frozenset(string.punctuation)
_STAND_INS = (*range(0xE000, 0xF900), *range(0xF0000, 0x110000), *range(0x20000, 0x40000))
_SPACES = re.compile(r"\s*")
_WORD = re.compile(r"\w")
_WORD_END = re.compile(r"\w\Z")


class ControlTokens:
    """Finds the names of control tokens in text.

    Attributes:
        id_set: Their ids.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        self._by_name = {
            token.content: (token_id, token)
            for token_id, token in backend.get_added_tokens_decoder().items()
            if token.content and (token.special or _PUNCTUATION.intersection(token.content))
        }
        self.id_set = frozenset(token_id for token_id, _ in self._by_name.values())
        self._lengths = sorted({len(name) for name in self._by_name}, reverse=True)
        first = "".join(sorted({name[0] for name in self._by_name}))
        # Gemma has 6,000 of them: find a first character, then look the names up by length.
        self._first = re.compile(f"[{re.escape(first)}]" if first else "(?!)")
        self._openings = frozenset(name[:2] for name in self._by_name)
        cuts = [(name[:at], name[at:]) for name in self._by_name for at in range(1, len(name))]
        self._prefixes = frozenset(prefix for prefix, _ in cuts)
        self._suffixes = frozenset(suffix for _, suffix in cuts)

    def split(self, text: str) -> list[tuple[str, int | None]]:
        """Cut the text at its control tokens, as the tokenizer would.

        Returns:
            Pieces of text, each with the id of the control token after it (``None`` at the end).
        """
        pieces: list[tuple[str, int | None]] = []
        done = 0
        for found in self._first.finditer(text):
            begin = found.start()
            name = self._name_at(text, begin) if begin >= done else None
            if name is None:
                continue
            token_id, token = self._by_name[name]
            before, end = text[done:begin], begin + len(name)
            if token.single_word and (_WORD_END.search(before) or _WORD.match(text, end)):
                continue
            if token.rstrip:
                end = _SPACES.match(text, end).end()  # type: ignore[union-attr]
            pieces.append((before.rstrip() if token.lstrip else before, token_id))
            done = end
        pieces.append((text[done:], None))
        return pieces

    def disguise(
        self, texts: Sequence[str], *, avoid: str = ""
    ) -> tuple[list[str], dict[int, str]]:
        """Replace one character of each name in the texts, so that no name is left.

        The stand-ins are private-use characters that occur neither in the texts nor in ``avoid``.
        Every text keeps its length, and a template may slice, trim or split it. A beginning or an
        end that could become a name together with the text beside it is broken up as well.

        Returns:
            The texts, and the table for ``str.translate`` that restores them; the table is empty
            when nothing had to be replaced.

        Raises:
            InvalidParameter: The texts leave no stand-in, which takes a megabyte made for it.
        """
        spots = [self._spots(text) for text in texts]
        if not any(spots):
            return list(texts), {}
        used = set(avoid).union(*texts)
        free = (char for char in map(chr, _STAND_INS) if char not in used)
        chars = {text[at] for text, places in zip(texts, spots, strict=True) for at in places}
        stand_ins = dict(zip(sorted(chars), free, strict=False))
        if len(stand_ins) < len(chars):
            raise InvalidParameter("messages", "...", "text with fewer different characters")
        disguised = [
            "".join(stand_ins[c] if i in places else c for i, c in enumerate(text))
            if places
            else text
            for text, places in zip(texts, spots, strict=True)
        ]
        return disguised, {ord(other): char for char, other in stand_ins.items()}

    def _name_at(self, text: str, at: int) -> str | None:
        if text[at : at + 2] not in self._openings:
            return None
        for length in self._lengths:
            if text[at : at + length] in self._by_name:
                return text[at : at + length]
        return None

    def _spots(self, text: str) -> set[int]:
        """Where a character has to be replaced."""
        spots = {
            found.start()
            for found in self._first.finditer(text)
            if self._name_at(text, found.start()) is not None
        }
        body = text.strip()
        begin = text.find(body)
        for length in range(1, min(self._lengths[0] if self._lengths else 0, len(body) + 1)):
            if body[-length:] in self._prefixes:
                spots.add(begin + len(body) - length)
            if body[:length] in self._suffixes:
                spots.add(begin)
        return spots


def encode_alone(
    encoder: tokenizers.Tokenizer, text: str, *, add_special_tokens: bool
) -> list[int]:
    """Encode one text without holding the interpreter: other threads go on meanwhile.

    The library's own ``encode`` holds it, for a second per million characters; batches do not.
    """
    [encoded] = encoder.encode_batch_fast([text], add_special_tokens=add_special_tokens)
    ids: list[int] = encoded.ids
    return ids


class PlainEncoder:
    """The tokenizer without its control tokens.

    Args:
        backend: The whole tokenizer; its model is shared.
        control: Its control tokens.
    """

    def __init__(self, backend: tokenizers.Tokenizer, control: ControlTokens) -> None:
        self._control = control
        added = backend.get_added_tokens_decoder()
        ordinary = {i: token for i, token in added.items() if i not in control.id_set}
        self._renumbered: dict[int, int] = {}
        self._start = self._copy(backend, ordinary)
        self._inner = self._copy(backend, ordinary)
        self._bare = self._copy(backend, ordinary)
        if backend.pre_tokenizer is not None:
            self._inner.pre_tokenizer = _unprefixed(backend.pre_tokenizer, ("first",))
            self._bare.pre_tokenizer = _unprefixed(backend.pre_tokenizer, ("first", "always"))
        if backend.normalizer is not None:
            self._bare.normalizer = _without_prepend(backend.normalizer)

    def encode(self, text: str, *, start: bool, bare: bool = False) -> list[int]:
        """Encode text as text.

        Args:
            text: Anything.
            start: Whether it begins the prompt.
            bare: Whether it goes on where other text has ended.
        """
        if not text:
            return []
        first = self._start if start else self._bare if bare else self._inner
        ids = self._ids(first, text)
        if self._control.id_set.isdisjoint(ids):
            return ids
        # This model's own vocabulary spells a control token: cut each name in two.
        ids = []
        for index, part in enumerate(self._cut(text)):
            encoder = self._bare if index else first
            ids += self._ids(encoder, part)
        return [token_id for token_id in ids if token_id not in self._control.id_set]

    def _cut(self, text: str) -> list[str]:
        disguised, restore = self._control.disguise([text])
        parts: list[str] = []
        begin = 0
        for at, char in enumerate(disguised[0]):
            if ord(char) in restore:
                parts.append(text[begin : at + 1])
                begin = at + 1
        return [part for part in [*parts, text[begin:]] if part]

    def _ids(self, encoder: tokenizers.Tokenizer, text: str) -> list[int]:
        ids = encode_alone(encoder, text, add_special_tokens=False)
        if self._renumbered:
            ids = [self._renumbered.get(token_id, token_id) for token_id in ids]
        return ids

    def _copy(
        self, backend: tokenizers.Tokenizer, ordinary: dict[int, tokenizers.AddedToken]
    ) -> tokenizers.Tokenizer:
        copy = tokenizers.Tokenizer(backend.model)
        if backend.normalizer is not None:
            copy.normalizer = backend.normalizer
        if backend.pre_tokenizer is not None:
            copy.pre_tokenizer = backend.pre_tokenizer
        copy.add_tokens(list(ordinary.values()))
        for token_id, token in ordinary.items():
            own = copy.token_to_id(token.content)
            if own is not None and own != token_id:
                self._renumbered[own] = token_id
        return copy


def _unprefixed(pre_tokenizer: Any, schemes: tuple[str, ...]) -> Any:
    """A copy that puts no space before the first word where the scheme is one of these."""
    spec = pre_tokenizer.__getstate__().decode()
    for scheme in schemes:
        spec = spec.replace(f'"prepend_scheme":"{scheme}"', '"prepend_scheme":"never"')
    copy = pre_tokenizers.Sequence([])
    copy.__setstate__(spec.encode())
    return copy


def _without_prepend(normalizer: Any) -> Any:
    """A copy that puts nothing before the text."""
    spec = json.loads(normalizer.__getstate__())
    steps = spec["normalizers"] if spec["type"] == "Sequence" else [spec]
    kept = [step for step in steps if step["type"] != "Prepend"]
    copy = normalizers.Sequence([])
    copy.__setstate__(json.dumps({"type": "Sequence", "normalizers": kept}).encode())
    return copy
