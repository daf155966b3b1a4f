"""Token ids in, visible text out: one of these runs for every live reply, on the event loop.

Three filters in a row, each amortised O(1) per token:

1. *Decoding.* Tokens become text by concatenation of their pieces (see ``token_pieces``); bytes
   of an unfinished code point wait for the rest of it. A tokenizer whose decoder cannot be taken
   apart is decoded over a short moving window instead.
2. *Stop strings.* An automaton per stop string (Knuth-Morris-Pratt) sees every character once.
   The match that is complete first wins, the longest of those that end together, so the result
   depends on the text alone and not on how it was cut into tokens. A match counts as soon as its
   last character is decoded, before the filter below.
3. *Grapheme clusters.* A delta never ends inside a cluster, so the last cluster waits until the
   next code point shows that it is complete. Only after a control character such as a line feed is
   that certain at once.

The last filter costs latency: the final character of each token arrives with the next token. The
alternative is to guess that nothing follows. It was weighed: space and punctuation are where the
guess is nearly safe, but few tokens end with one (15 % of those of English prose, with a vocabulary
of 16,000), so guessing there wins little; and the letters, kana, ideographs, digits and symbols on
which tokens do end are those that are really extended: decomposed ``é``, ``が`` and ``あ゙``,
variation selectors on names, keycaps, ``❤️``. A split there cannot be taken back. The price is one
step's time (some ten milliseconds) for the first delta of a reply that begins with a token of one
character (18 % of tokens); throughput and the time of the last delta do not change, because
``finish()`` releases the rest. Measured: 1.2 µs per token, four stop strings included.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from typing import Protocol

from engine.graphemes import last_boundary
from engine.token_pieces import PieceTable
from engine.tokenizer import Tokenizer

_WINDOW = 24
"""Tokens after which the window decoder no longer waits for a broken character to be completed."""


class IncrementalDetokenizer:
    """Turns one reply's tokens into its visible text.

    The concatenation of everything returned is ``tokenizer.decode`` of all tokens, cut before the
    stop string that matched, if one did.

    Args:
        tokenizer: The model's.
        stop: Strings that end the reply; they and what follows them are never returned.
        min_tokens: Text of the first so many tokens takes no part in a stop string.
        skip_special_tokens: Whether special tokens are left out of the text, but for those with
            which the model marks the call of a tool.

    Attributes:
        stopped_by: The stop string that ended the reply; from then on nothing is returned.
        num_tokens: Tokens pushed so far, those after the end included.
        text_length: Characters returned so far.
    """

    __slots__ = (
        "_held",
        "_matcher",
        "_source",
        "min_tokens",
        "num_tokens",
        "stopped_by",
        "text_length",
    )

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        stop: Sequence[str] = (),
        min_tokens: int = 0,
        skip_special_tokens: bool = True,
    ) -> None:
        table = (
            tokenizer.reply_pieces()
            if skip_special_tokens
            else tokenizer.pieces(skip_special_tokens=False)
        )
        hidden = tokenizer.special_token_ids - tokenizer.marker_token_ids
        self._source: _Source = (
            _WindowSource(tokenizer, hidden if skip_special_tokens else frozenset())
            if table is None
            else _PieceSource(table)
        )
        self._matcher = _StopMatcher(stop) if any(stop) else None
        self._held = ""
        self.min_tokens = min_tokens
        self.stopped_by: str | None = None
        self.num_tokens = 0
        self.text_length = 0

    def push(self, token_ids: Sequence[int]) -> str:
        """Take the next tokens of the reply.

        Returns:
            The text that they made certain; may be empty.
        """
        exempt = self.min_tokens - self.num_tokens
        self.num_tokens += len(token_ids)
        if self.stopped_by is not None:
            return ""
        if self._matcher is not None and exempt > 0:
            self._held += self._source.feed(token_ids[:exempt])
            token_ids = token_ids[exempt:]
        return self._release(self._source.feed(token_ids))

    def finish(self) -> str:
        """Declare the reply complete.

        Returns:
            The rest of the text, where broken characters are now U+FFFD.
        """
        if self.stopped_by is not None:
            return ""
        text = self._release(self._source.finish())
        rest, self._held = self._held, ""
        self.text_length += len(rest)
        return text + rest

    def _release(self, text: str) -> str:
        held = self._held + text
        if not held:
            return ""
        if self._matcher is not None and text:
            end = self._matcher.feed(text)
            if end is not None:
                self.stopped_by = self._matcher.found
                self._held = ""
                visible = held[: len(held) - len(text) + end - len(self._matcher.found)]
                self.text_length += len(visible)
                return visible
        waiting = self._matcher.partial if self._matcher is not None else 0
        cut = last_boundary(held, len(held) - waiting)
        self._held = held[cut:]
        self.text_length += cut
        return held[:cut]


class _Source(Protocol):
    """Tokens to text, where nothing is certain but whole code points."""

    def feed(self, token_ids: Sequence[int]) -> str:
        """Text that these tokens completed."""
        ...

    def finish(self) -> str:
        """What an unfinished code point leaves."""
        ...


class _PieceSource:
    """Concatenates pieces; knows no token but the present one."""

    __slots__ = ("_decoder", "_mid_char", "_started", "_strip", "_table")

    def __init__(self, table: PieceTable) -> None:
        self._table = table
        self._started = False
        self._strip = table.strip[1]
        self._decoder = codecs.getincrementaldecoder("utf-8")(table.errors)
        self._mid_char = False

    def feed(self, token_ids: Sequence[int]) -> str:
        if len(token_ids) == 1 and self._started and not self._mid_char:
            piece = self._table[token_ids[0]]
            if isinstance(piece, str):
                return piece if not self._strip else self._stripped(piece)
        return self._stripped("".join(map(self._one, token_ids)))

    def finish(self) -> str:
        return self._stripped(self._decoder.decode(b"", final=True))

    def _one(self, token_id: int) -> str:
        if self._started:
            piece = self._table[token_id]
        elif self._table.shows(token_id):
            self._started = True
            piece = self._table.first(token_id)
        else:
            return ""
        if isinstance(piece, str):
            if not self._mid_char or not piece:
                return piece
            piece = piece.encode()
        text: str = self._decoder.decode(piece)
        self._mid_char = bool(self._decoder.getstate()[0])
        return text

    def _stripped(self, text: str) -> str:
        """Take off what vanishes from the start of the whole text."""
        char = self._table.strip[0]
        while self._strip and text:
            if not text.startswith(char):
                self._strip = 0
                break
            text, self._strip = text[len(char) :], self._strip - 1
        return text


class _WindowSource:
    """Decodes the last few tokens with and without the new ones and takes the difference.

    For decoders where a token's text depends on its neighbours. The way is text-generation-
    inference's: exact as long as no token changes text further back than the window.
    """

    __slots__ = ("_done", "_hidden", "_ids", "_start", "_tokenizer")

    def __init__(self, tokenizer: Tokenizer, hidden: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._hidden = hidden
        self._ids: list[int] = []
        self._start = 0
        self._done = 0

    def feed(self, token_ids: Sequence[int]) -> str:
        texts = []
        for token_id in token_ids:
            if token_id in self._hidden:
                continue
            self._ids.append(token_id)
            text = self._fresh()
            unclear = not text or text.endswith("\N{REPLACEMENT CHARACTER}")
            if unclear and len(self._ids) - self._done < _WINDOW:
                continue
            texts.append(text)
            del self._ids[: self._start]
            self._start, self._done = self._done - self._start, len(self._ids)
        return "".join(texts)

    def finish(self) -> str:
        return self._fresh()

    def _fresh(self) -> str:
        decode = self._tokenizer.decode
        before = decode(self._ids[self._start : self._done], skip_special_tokens=False)
        after = decode(self._ids[self._start :], skip_special_tokens=False)
        return after[len(before) :]


class _StopMatcher:
    """Finds the first stop string to be complete, one character at a time.

    Attributes:
        found: The stop string that was found.
        partial: Characters at the end of the text that may be the beginning of a stop string.
    """

    __slots__ = ("_fallbacks", "_first", "_matched", "_stops", "found", "partial")

    def __init__(self, stop: Sequence[str]) -> None:
        self._stops = sorted({text for text in stop if text}, key=len, reverse=True)
        self._fallbacks = [_fallbacks(text) for text in self._stops]
        self._matched = [0] * len(self._stops)
        first = "".join(sorted({text[0] for text in self._stops}))
        self._first = re.compile(f"[{re.escape(first)}]")
        self.found = ""
        self.partial = 0

    def feed(self, text: str) -> int | None:
        """Read on.

        Returns:
            How many characters of ``text`` it took to complete a stop string, ``None`` if none was.
        """
        at = 0
        while at < len(text):
            if not self.partial:
                begin = self._first.search(text, at)
                if begin is None:
                    return None
                at = begin.start()
            if self._step(text[at]):
                return at + 1
            at += 1
        return None

    def _step(self, char: str) -> bool:
        matched = self._matched
        for index, stop in enumerate(self._stops):
            length = matched[index]
            while length and stop[length] != char:
                length = self._fallbacks[index][length - 1]
            if stop[length] == char:
                length += 1
            if length == len(stop):
                self.found = stop
                return True
            matched[index] = length
        self.partial = max(matched)
        return False


def _fallbacks(stop: str) -> list[int]:
    """For each prefix of the string, the length of the longest proper border of it."""
    borders = [0] * len(stop)
    length = 0
    for at in range(1, len(stop)):
        while length and stop[at] != stop[length]:
            length = borders[length - 1]
        if stop[at] == stop[length]:
            length += 1
        borders[at] = length
    return borders
