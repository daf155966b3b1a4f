"""What tags a character has, and what its model is told of them."""

from __future__ import annotations

import pytest

from server.errors import ProtocolError
from server.text.tag_rules import MAX_TAG_NAMES, TagRules, check_tag_names, tag_instructions

BOTH = TagRules(expressions=("happy", "sad"), motions=("wave",))


def test_off_looks_for_nothing() -> None:
    """Brackets are text then."""
    rules = TagRules(expressions=("happy",), motions=("wave",), mode="off")
    assert (rules.shown_expressions, rules.shown_motions) == ((), ())
    assert not rules.has_tags
    assert not rules.is_enforced


def test_without_names_there_is_nothing_to_enforce() -> None:
    """A bare model is left alone."""
    assert not TagRules(mode="enforced").is_enforced
    assert TagRules(mode="enforced", motions=("wave",)).is_enforced


def test_names_are_kept_as_they_are() -> None:
    """Front ends compare them."""
    assert check_tag_names(["Happy", "so-so_2"], "x") == ("Happy", "so-so_2")
    assert check_tag_names([], "x") == ()


@pytest.mark.parametrize(
    ("names", "param", "code"),
    [
        (["happy", "motion:wave"], "s.expressions[1]", "invalid_value"),
        (["a]"], "s.expressions[0]", "invalid_value"),
        ([""], "s.expressions[0]", "invalid_value"),
        (["1up"], "s.expressions[0]", "invalid_value"),
        (["笑顔"], "s.expressions[0]", "invalid_value"),
        (["x" * 33], "s.expressions[0]", "invalid_value"),
        (["happy", "Happy"], "s.expressions[1]", "invalid_value"),
        ([f"n{i}" for i in range(MAX_TAG_NAMES + 1)], "s.expressions", "limit_exceeded"),
    ],
)
def test_names_that_cannot_stand_in_a_tag_are_refused(
    names: list[str], param: str, code: str
) -> None:
    """By their place, with the way out."""
    with pytest.raises(ProtocolError) as caught:
        check_tag_names(names, "s.expressions")
    assert (caught.value.param, caught.value.code) == (param, code)
    assert ";" in caught.value.message


def test_the_model_is_told_of_all_its_tags() -> None:
    """In the form in which it has to write them."""
    text = tag_instructions(BOTH, "You are Aoi.")
    for tag in ("[happy]", "[sad]", "[happy:0.5]", "[motion:wave]"):
        assert tag in text


@pytest.mark.parametrize(
    ("rules", "told", "not_told"),
    [
        (TagRules(expressions=("happy",)), "[happy]", "motion"),
        (TagRules(motions=("wave",)), "[motion:wave]", "face"),
        (TagRules(expressions=("happy",), every="reply"), "each reply", "each sentence"),
    ],
)
def test_the_model_is_told_of_nothing_else(rules: TagRules, told: str, not_told: str) -> None:
    """Only of what was declared, and where it belongs."""
    text = tag_instructions(rules)
    assert told in text
    assert not_told not in text


@pytest.mark.parametrize(
    "persona", ["Begin with [happy].", "例: [SAD]悲しい", "Say [motion:wave]."]
)
def test_a_persona_that_names_a_tag_says_enough(persona: str) -> None:
    """Its author knows of tags."""
    assert tag_instructions(BOTH, persona) == ""


def test_other_brackets_say_nothing_of_tags() -> None:
    """A persona with a footnote needs to be told as well."""
    assert tag_instructions(BOTH, "You like lists [1] and [joy].")


def test_the_same_rules_give_the_same_text() -> None:
    """Prompts that share a character share their beginning, however the tags are held to."""
    enforced = TagRules(expressions=("happy", "sad"), motions=("wave",), mode="enforced")
    assert tag_instructions(BOTH) == tag_instructions(enforced)


@pytest.mark.parametrize("rules", [TagRules(), TagRules(expressions=("happy",), mode="off")])
def test_nothing_is_told_where_there_are_no_tags(rules: TagRules) -> None:
    """The prompt stays as it is."""
    assert tag_instructions(rules) == ""
