"""What one request may ask of the sampler."""

from __future__ import annotations

import math
from typing import Literal, get_args

import msgspec
from msgspec.structs import force_setattr

from engine.errors import InvalidParameter

MAX_STOP_STRINGS = 16
MAX_STOP_LENGTH = 256
MAX_BIASED_TOKENS = 1024
MAX_LOGPROBS = 20
MAX_SEED = 2**63 - 1

MAX_GRAMMAR_BYTES = 64 * 1024

GrammarKind = Literal["json_schema", "regex", "choice", "lark"]

_TOKEN_LISTS = ("allowed_token_ids", "banned_token_ids", "stop_token_ids", "dry_breaker_ids")


class Grammar(msgspec.Struct, frozen=True, kw_only=True):
    """What a reply may be, token by token.

    Attributes:
        kind: How ``source`` is written.
        source: A JSON schema as JSON text (``{}`` allows any JSON value), a regular expression
            that the whole reply must match, a JSON array of strings of which the reply must be
            one, or a grammar in Lark's notation as llguidance reads it.
    """

    kind: GrammarKind
    source: str

    def __post_init__(self) -> None:
        """Refuse what is no text or too long; whether it parses is for the compiler to say.

        Raises:
            InvalidParameter: The kind is unknown, or the source too long.
        """
        if self.kind not in get_args(GrammarKind):
            expected = f"one of {', '.join(get_args(GrammarKind))}"
            raise InvalidParameter("grammar.kind", self.kind, expected)
        if not isinstance(self.source, str):
            raise InvalidParameter("grammar.source", self.source, "of type str")
        num_bytes = len(self.source.encode(errors="replace"))
        if num_bytes > MAX_GRAMMAR_BYTES:
            raise InvalidParameter(
                "grammar.source", f"{num_bytes} bytes", f"at most {MAX_GRAMMAR_BYTES} bytes"
            )


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the next token of one request is chosen, and when the request ends.

    Names and neutral values are the field's: every default leaves the model's own distribution
    unchanged. ``temperature=0`` is greedy. A single stop string may stand alone, ``None`` means
    the default, and any collection of token ids will do.

    Raises:
        InvalidParameter: A value is of the wrong type or out of range; it names the parameter.
    """

    temperature: float = 1.0
    """0 for greedy, up to 2 and beyond for wilder; divides the logits."""
    top_k: int = 0
    """Keep the k likeliest tokens; 0 (or -1) keeps all."""
    top_p: float = 1.0
    """Keep the smallest set of tokens whose probability reaches p (nucleus sampling)."""
    min_p: float = 0.0
    """Drop tokens less likely than this share of the likeliest."""
    presence_penalty: float = 0.0
    """Subtracted from the logit of each token that the reply already holds."""
    frequency_penalty: float = 0.0
    """Subtracted once per occurrence in the reply."""
    repetition_penalty: float = 1.0
    """Divides positive and multiplies negative logits of tokens in prompt or reply (CTRL)."""
    dry_multiplier: float = 0.0
    """DRY: penalty scale against repeating sequences; 0 switches it off."""
    dry_base: float = 1.75
    """DRY: growth of the penalty per token of repeated length."""
    dry_allowed_length: int = 2
    """DRY: repeats up to this many tokens are free."""
    dry_range: int = 0
    """DRY: how many of the last tokens are searched; 0 searches all."""
    dry_breaker_ids: list[int] = msgspec.field(default_factory=list)
    """DRY: tokens across which no repeat is counted. Where there are none, a front end fills in
    special tokens and those with a newline, colon, quote or asterisk (llama.cpp's breakers)."""
    xtc_probability: float = 0.0
    """XTC: chance per token that the top choices are excluded; 0 switches it off."""
    xtc_threshold: float = 0.1
    """XTC: of the tokens at least this likely, all but the least likely are excluded."""
    logit_bias: dict[int, float] = msgspec.field(default_factory=dict)
    """Added to the logits of these token ids."""
    allowed_token_ids: list[int] | None = None
    """Only these tokens may be produced."""
    banned_token_ids: list[int] = msgspec.field(default_factory=list)
    """These tokens may not be produced."""
    seed: int | None = None
    """Same seed, same words, whatever the batch; ``None`` draws one when the request arrives."""
    max_tokens: int | None = None
    """Longest reply; ``None`` goes up to the context's end."""
    min_tokens: int = 0
    """The reply does not stop by itself before this many tokens."""
    stop: list[str] | str = msgspec.field(default_factory=list)
    """Strings that end the reply; they are not part of it. Always a list once checked."""
    stop_token_ids: list[int] = msgspec.field(default_factory=list)
    """Tokens that end the reply beside the model's own end tokens."""
    ignore_eos: bool = False
    """Go on past the model's end tokens (for measurements)."""
    logprobs: int | None = None
    """Report the chosen token's log probability and those of so many likeliest tokens."""
    grammar: Grammar | None = None
    """Only replies that this allows are produced."""

    def __post_init__(self) -> None:
        """Take the friendly forms, then check every range; see the class."""
        self._normalise()
        _number("temperature", self.temperature, 0.0, 100.0)
        _integer("top_k", self.top_k, -1, 2**31 - 1)
        _number("top_p", self.top_p, 0.0, 1.0, open_low=True)
        _number("min_p", self.min_p, 0.0, 1.0)
        _number("presence_penalty", self.presence_penalty, -2.0, 2.0)
        _number("frequency_penalty", self.frequency_penalty, -2.0, 2.0)
        _number("repetition_penalty", self.repetition_penalty, 0.01, 10.0)
        _number("dry_multiplier", self.dry_multiplier, 0.0, 100.0)
        _number("dry_base", self.dry_base, 1.0, 8.0)
        _integer("dry_allowed_length", self.dry_allowed_length, 1, 1024)
        _integer("dry_range", self.dry_range, 0, 2**31 - 1)
        _token_ids("dry_breaker_ids", self.dry_breaker_ids)
        _number("xtc_probability", self.xtc_probability, 0.0, 1.0)
        _number("xtc_threshold", self.xtc_threshold, 0.0, 1.0)
        self._check_token_sets()
        if self.seed is not None:
            _integer("seed", self.seed, -(2**63), MAX_SEED)
        if self.max_tokens is not None:
            _integer("max_tokens", self.max_tokens, 1, 2**31 - 1)
        _integer("min_tokens", self.min_tokens, 0, 2**31 - 1)
        if self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise InvalidParameter(
                "min_tokens", self.min_tokens, f"<= max_tokens={self.max_tokens}"
            )
        self._check_stops()
        if self.logprobs is not None:
            _integer("logprobs", self.logprobs, 0, MAX_LOGPROBS)
        if self.grammar is not None and not isinstance(self.grammar, Grammar):
            raise InvalidParameter("grammar", self.grammar, "a Grammar")

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature == 0.0

    def highest_token_id(self) -> int:
        """The largest token id named anywhere, or -1."""
        named = [self.logit_bias, *(getattr(self, name) or () for name in _TOKEN_LISTS)]
        return max((max(ids, default=-1) for ids in named), default=-1)

    def check_vocabulary(self, vocab_size: int) -> None:
        """Refuse token ids that the model does not have.

        Raises:
            InvalidParameter: The first field that names one.
        """
        for name in ("logit_bias", *_TOKEN_LISTS):
            for token_id in getattr(self, name) or ():
                if token_id >= vocab_size:
                    expected = f"token ids of the vocabulary, 0 to {vocab_size - 1}"
                    raise InvalidParameter(name, token_id, expected)

    def _normalise(self) -> None:
        if isinstance(self.stop, str):
            force_setattr(self, "stop", [self.stop])
        for name in ("stop", *_TOKEN_LISTS):
            value = getattr(self, name)
            if value is None and name != "allowed_token_ids":
                force_setattr(self, name, [])
            elif isinstance(value, tuple | set | frozenset):
                force_setattr(self, name, list(value))
        if self.logit_bias is None:
            force_setattr(self, "logit_bias", {})

    def _check_token_sets(self) -> None:
        if not isinstance(self.logit_bias, dict):
            raise InvalidParameter("logit_bias", self.logit_bias, "a dict of token ids to numbers")
        if len(self.logit_bias) > MAX_BIASED_TOKENS:
            raise InvalidParameter(
                "logit_bias", len(self.logit_bias), f"at most {MAX_BIASED_TOKENS} entries"
            )
        for token_id in self.logit_bias:
            if isinstance(token_id, bool) or not isinstance(token_id, int) or token_id < 0:
                raise InvalidParameter("logit_bias", token_id, "a dict whose keys are ids >= 0")
        for bias in self.logit_bias.values():
            _number("logit_bias", bias, -100.0, 100.0)
        if self.allowed_token_ids is not None:
            if not self.allowed_token_ids:
                raise InvalidParameter("allowed_token_ids", [], "a non-empty list, or left out")
            _token_ids("allowed_token_ids", self.allowed_token_ids)
            if not set(self.allowed_token_ids) - set(self.banned_token_ids):
                raise InvalidParameter(
                    "banned_token_ids", self.banned_token_ids, "less than all allowed_token_ids"
                )
        _token_ids("banned_token_ids", self.banned_token_ids)

    def _check_stops(self) -> None:
        if not isinstance(self.stop, list):
            raise InvalidParameter("stop", self.stop, "a string or a list of strings")
        if len(self.stop) > MAX_STOP_STRINGS:
            raise InvalidParameter("stop", len(self.stop), f"at most {MAX_STOP_STRINGS} strings")
        for text in self.stop:
            if not isinstance(text, str) or not 1 <= len(text) <= MAX_STOP_LENGTH:
                raise InvalidParameter(
                    "stop", text, f"strings of 1 to {MAX_STOP_LENGTH} characters"
                )
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise InvalidParameter("stop", text, "text without lone surrogates")
        _token_ids("stop_token_ids", self.stop_token_ids)
        if not isinstance(self.ignore_eos, bool):
            raise InvalidParameter("ignore_eos", self.ignore_eos, "true or false")


def _number(name: str, value: object, low: float, high: float, *, open_low: bool = False) -> None:
    bad = isinstance(value, bool) or not isinstance(value, int | float)
    if bad or not math.isfinite(value) or not low <= value <= high or (open_low and value == low):  # type: ignore[arg-type, operator]
        bound = f"greater than {low}" if open_low else f"at least {low}"
        raise InvalidParameter(name, value, f"a number {bound} and at most {high}")


def _integer(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidParameter(name, value, f"a whole number from {low} to {high}")


def _token_ids(name: str, ids: object) -> None:
    if not isinstance(ids, list):
        raise InvalidParameter(name, ids, "a list of token ids")
    if len(ids) > 2**18:
        raise InvalidParameter(name, len(ids), f"at most {2**18} token ids")
    for token_id in ids:
        if isinstance(token_id, bool) or not isinstance(token_id, int) or token_id < 0:
            raise InvalidParameter(name, token_id, "a list of token ids >= 0")
