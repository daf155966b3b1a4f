"""Templates become text, and tags are kept apart from it."""

from __future__ import annotations

import random
import re

import pytest

from tools.demo_dialogues.conversation import GOODBYE, GREETINGS, REPLY, TALK, USER
from tools.demo_dialogues.grammar import STYLES, TAG_PATTERN, expand, join_reply, strip_tags

_LEFTOVER = re.compile(r"[()|<>]|\{[a-z]+\}")


def _reply_templates(language: str) -> list[str]:
    tables = [*REPLY[language].values(), *(replies for _, replies in TALK[language].values())]
    tables += [GOODBYE[language]["named"], GOODBYE[language]["unnamed"], GREETINGS[language]]
    return [template for table in tables for template in table]


def test_polite_and_casual_differ() -> None:
    """A style choice gives the first wording to the polite speaker only."""
    written = {style: expand("元気<です|だよ>", random.Random(0), style=style) for style in STYLES}
    assert written == {"polite": "元気です", "casual": "元気だよ", "energetic": "元気だよ"}


def test_slot_text_is_not_a_template() -> None:
    """A name with template characters is quoted as it is."""
    assert expand("I am {v}.", random.Random(0), slots={"v": "(a|b)"}) == "I am (a|b)."


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("style", STYLES)
def test_templates_expand_completely(language: str, style: str) -> None:
    """No template leaves a mark of the grammar in a reply."""
    slots = dict.fromkeys(("v", "n", "k", "u", "food", "city"), "X")
    rng = random.Random(1)
    for template in _reply_templates(language):
        text = expand(template, rng, style=style, slots=slots)
        assert not _LEFTOVER.search(text), (template, text)


def test_both_languages_have_the_same_phrases() -> None:
    """Whatever can be said in English can be said in Japanese."""
    for table in (USER, REPLY, TALK):
        assert set(table["en"]) == set(table["ja"])


@pytest.mark.parametrize("language", ["en", "ja"])
def test_replies_open_with_a_tag(language: str) -> None:
    """Every reply that may stand first opens with a known tag."""
    for key, templates in REPLY[language].items():
        if not key.startswith(("about_", "want_")):
            assert all(TAG_PATTERN.match(template) for template in templates), key


def test_repeated_mood_is_said_once() -> None:
    """A second part in the same mood loses its tag, another mood keeps it."""
    parts = ("[happy] One.", "[happy] Two.", "[sad] Three.")
    assert join_reply(parts, language="en") == "[happy] One. Two. [sad] Three."


def test_strip_tags_leaves_other_brackets() -> None:
    """Only expression tags are removed from a history."""
    assert strip_tags("[happy] See [1]. [sad] Oh.") == "See [1]. Oh."
