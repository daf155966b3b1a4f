"""How fast people read and hear, and how many characters a token of this model brings.

A client says how its user takes a reply in, in characters per second; the engine paces streams in
tokens per second. The rates that are assumed where it says none:

* reading English: 250 words a minute, with six characters each; adults read 238 to 260 silently
  (Brysbaert 2019, https://doi.org/10.1016/j.jml.2019.104047);
* speaking English: 150 words a minute, near the 183 at which people read aloud (the same review)
  with the pauses that a voice makes;
* reading Japanese: 600 characters a minute; 400 to 600 is what adults are said to read;
* speaking Japanese: 360 characters a minute, a brisk voice; announcers keep to 300.

They lie at the fast end, because a stream that is too slow is noticed and one too fast is not.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from engine.request import Listener
from server.errors import InvalidValue, shorten
from server.protocol.character_objects import ListenerSetting

ListenerKind = Literal["reading", "speech", "none"]

CHARACTERS_PER_S: dict[tuple[str, bool], float] = {
    ("reading", False): 25.0,
    ("speech", False): 14.0,
    ("reading", True): 10.0,
    ("speech", True): 6.0,
}
"""By kind, and by whether it is Japanese (or Chinese)."""
RESERVE_S = {"reading": 1.0, "speech": 2.0}
"""Seconds of lead; a voice begins with a whole clause, and a gap in it is heard at once."""

MIN_RATE, MAX_RATE = 0.5, 1000.0
"""Characters per second that a client may name."""

_WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f]")
_WIDE_SHARE = 0.2
_FIRST_GUESS = {False: 4.0, True: 1.5}
_GUESS_WEIGHT = 200.0
_MEMORY = 20_000.0


def is_wide(text: str) -> bool:
    """Whether a text is Japanese, by its characters (Chinese counts as such)."""
    return bool(text) and len(_WIDE.findall(text)) >= _WIDE_SHARE * len(text)


class TokenDensity:
    """Characters per token of one model, measured from its replies, for either script.

    It begins with 4 characters per token of English and 1.5 of Japanese, which the first few
    replies (200 tokens) outweigh; after 20,000 tokens old replies count less and less.
    """

    def __init__(self) -> None:
        self._num_tokens = dict.fromkeys(_FIRST_GUESS, _GUESS_WEIGHT)
        self._num_chars = {wide: guess * _GUESS_WEIGHT for wide, guess in _FIRST_GUESS.items()}

    def observe(self, num_chars: int, num_tokens: int, *, wide: bool) -> None:
        """Take a whole reply in."""
        self._num_chars[wide] += num_chars
        self._num_tokens[wide] += num_tokens
        if self._num_tokens[wide] > _MEMORY:
            self._num_chars[wide] /= 2
            self._num_tokens[wide] /= 2

    def characters_per_token(self, *, wide: bool) -> float:
        """The figure now; above 0."""
        return max(self._num_chars[wide] / self._num_tokens[wide], 0.1)


def check_listener(listener: ListenerSetting | None, param: str) -> ListenerSetting | None:
    """Return a client's setting if it can be used.

    Args:
        listener: As it was sent.
        param: Where it stood.

    Raises:
        InvalidValue: The kind is none, or the rate is out of range.
    """
    if listener is None:
        return None
    if listener.kind not in get_args(ListenerKind):
        raise InvalidValue(
            f"{param}.kind",
            f"{param}.kind is {shorten(listener.kind)}; it must be one of "
            f"{', '.join(get_args(ListenerKind))}",
        )
    if listener.rate is not None and not MIN_RATE <= listener.rate <= MAX_RATE:
        raise InvalidValue(
            f"{param}.rate",
            f"{param}.rate is {listener.rate:g}; it must be from {MIN_RATE:g} to {MAX_RATE:g} "
            "characters per second",
        )
    return listener


def listener_for(
    kind: ListenerKind, rate: float | None, density: TokenDensity, *, wide: bool
) -> Listener | None:
    """Say it in the engine's words.

    Args:
        kind: How the reply is taken in.
        rate: Characters per second; ``None`` assumes one.
        density: Of the model.
        wide: Whether the reply will be Japanese.

    Returns:
        ``None`` for nobody who could be too slow.
    """
    if kind == "none":
        return None
    rate = CHARACTERS_PER_S[kind, wide] if rate is None else rate
    return Listener(
        tokens_per_s=rate / density.characters_per_token(wide=wide), reserve_s=RESERVE_S[kind]
    )
