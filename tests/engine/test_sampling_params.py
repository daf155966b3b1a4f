"""Every sampling parameter out of range is refused by name."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from engine.errors import InvalidParameter
from engine.sampling_params import MAX_GRAMMAR_BYTES, Grammar, SamplingParams

OUT_OF_RANGE: list[tuple[str, Any]] = [
    ("temperature", -0.1),
    ("temperature", math.nan),
    ("temperature", math.inf),
    ("temperature", "1"),
    ("temperature", True),
    ("top_k", -2),
    ("top_k", 2**31),
    ("top_k", 1.5),
    ("top_p", 0.0),
    ("top_p", -1.0),
    ("top_p", 1.1),
    ("min_p", 2.0),
    ("min_p", -0.1),
    ("presence_penalty", 2.1),
    ("frequency_penalty", math.nan),
    ("repetition_penalty", 0.0),
    ("repetition_penalty", 1e-39),
    ("repetition_penalty", -1.0),
    ("repetition_penalty", math.inf),
    ("dry_multiplier", -1.0),
    ("dry_base", 0.5),
    ("dry_allowed_length", 0),
    ("dry_range", -1),
    ("dry_breaker_ids", [-1]),
    ("xtc_probability", 1.5),
    ("xtc_threshold", -0.5),
    ("logit_bias", {-1: 1.0}),
    ("logit_bias", {1: 101.0}),
    ("logit_bias", {1: math.nan}),
    ("logit_bias", dict.fromkeys(range(2000), 1.0)),
    ("allowed_token_ids", []),
    ("allowed_token_ids", [-3]),
    ("banned_token_ids", [-3]),
    ("banned_token_ids", "abc"),
    ("seed", 2**63),
    ("seed", -(2**63) - 1),
    ("seed", 1.0),
    ("max_tokens", 0),
    ("max_tokens", -1),
    ("max_tokens", 2**63),
    ("min_tokens", -1),
    ("stop", [""]),
    ("stop", ["x" * 257]),
    ("stop", ["a"] * 17),
    ("stop", [1]),
    ("stop", 5),
    ("stop", ["\ud800"]),
    ("ignore_eos", "yes"),
    ("logit_bias", [1]),
    ("logit_bias", {"5": 1.0}),
    ("stop_token_ids", [True]),
    ("logprobs", -1),
    ("logprobs", 21),
]


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: Any) -> None:
    """The error names the parameter, and its sentence says what is allowed."""
    with pytest.raises(InvalidParameter, match="must be") as caught:
        SamplingParams(**{name: value})
    assert caught.value.param == name


def test_the_defaults_change_nothing() -> None:
    """Neutral values are the defaults."""
    params = SamplingParams()
    assert (params.temperature, params.top_p, params.repetition_penalty) == (1.0, 1.0, 1.0)


def test_min_tokens_above_max_tokens_is_refused() -> None:
    """Two parameters that contradict each other."""
    with pytest.raises(InvalidParameter, match="max_tokens=2"):
        SamplingParams(min_tokens=3, max_tokens=2)


def test_banning_all_allowed_tokens_is_refused() -> None:
    """Nothing would be left to say."""
    with pytest.raises(InvalidParameter, match="allowed_token_ids"):
        SamplingParams(allowed_token_ids=[1, 2], banned_token_ids=[2, 1, 3])


def test_friendly_forms_are_taken() -> None:
    """One stop string may stand alone; ``None`` is the default; any collection of ids will do."""
    params = SamplingParams(
        stop="END",
        logit_bias=None,  # type: ignore[arg-type]
        stop_token_ids=(3, 4),  # type: ignore[arg-type]
        banned_token_ids=None,  # type: ignore[arg-type]
    )
    assert (params.stop, params.logit_bias, params.stop_token_ids) == (["END"], {}, [3, 4])
    assert params.banned_token_ids == []


def test_the_highest_token_id_named_anywhere_is_known() -> None:
    """The engine checks it against the vocabulary."""
    params = SamplingParams(logit_bias={5: 1.0}, stop_token_ids=[9], banned_token_ids=[7])
    assert params.highest_token_id() == 9
    assert SamplingParams().highest_token_id() == -1


def test_parameters_survive_the_process_border() -> None:
    """Encoded and decoded they are equal, and decoding checks the ranges again."""
    params = SamplingParams(temperature=0.5, logit_bias={3: 1.5}, stop=["x"], seed=-4)
    raw = msgspec.msgpack.encode(params)
    assert msgspec.msgpack.decode(raw, type=SamplingParams) == params
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode({"top_k": "many"}), type=SamplingParams)


@pytest.mark.parametrize(
    ("kind", "source", "param"),
    [
        ("xml", "a", "grammar.kind"),
        ("regex", 7, "grammar.source"),
        ("regex", "a" * (MAX_GRAMMAR_BYTES + 1), "grammar.source"),
    ],
)
def test_a_grammar_that_cannot_be_read_is_refused_by_name(
    kind: str, source: object, param: str
) -> None:
    """Whether it parses is for the compiler to say."""
    with pytest.raises(InvalidParameter) as caught:
        Grammar(kind=kind, source=source)  # type: ignore[arg-type]
    assert caught.value.param == param


def test_only_a_grammar_is_a_grammar() -> None:
    """Its source alone does not say how to read it."""
    with pytest.raises(InvalidParameter, match="a Grammar"):
        SamplingParams(grammar="[a-z]+")  # type: ignore[arg-type]
