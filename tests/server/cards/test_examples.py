"""Example dialogues: who says what."""

from __future__ import annotations

import pytest

from server.cards.examples import Line, split_examples
from server.cards.macros import MacroContext

CONTEXT = MacroContext(char="Aoi", user="Yui", seed=3)


def said(text: str) -> list[list[tuple[str, str]]]:
    """Return roles and texts."""
    return [[(line.role, line.text) for line in lines] for lines in split_examples(text, CONTEXT)]


def test_dialogues_begin_at_their_mark() -> None:
    """In either case, on a line of its own or not."""
    text = "<START>\n{{user}}: Hi.\n{{char}}: Hello, {{user}}.\n<start> {{char}}: Again?\n<START>\n"
    assert said(text) == [
        [("user", "Hi."), ("assistant", "Hello, Yui.")],
        [("assistant", "Again?")],
    ]
    assert split_examples("{{char}}: x", CONTEXT) == [[Line("assistant", "x")]]


@pytest.mark.parametrize(
    "mark", ["{{char}}:", "{{ CHAR }}:", "<BOT>:", "<char> :", "Aoi:", "Aoi："]
)
def test_a_speaker_is_named_in_many_ways(mark: str) -> None:
    """By macro or name, and with a colon of either width."""
    assert said(f"{{{{user}}}}: a\n  {mark} b") == [[("user", "a"), ("assistant", "b")]]


def test_lines_without_a_speaker_go_on() -> None:
    """And those of others are the speaker's story."""
    text = "{{char}}: one\ntwo\n\nBob: three\n{{user}}: four: five"
    assert said(text) == [[("assistant", "one\ntwo\n\nBob: three"), ("user", "four: five")]]


def test_a_scene_at_the_beginning_is_the_characters() -> None:
    """Nobody else can have said it."""
    assert said("<START>\n*Rain.*\n{{user}}: Wet.") == [
        [("assistant", "*Rain.*"), ("user", "Wet.")]
    ]


def test_names_are_no_patterns() -> None:
    """A dot in a name is a dot, and a name within a line is no speaker."""
    context = MacroContext(char="A.i (2)", user="")
    lines = split_examples("A.i (2): a Abi (2): b\nAbi (2): c", context)
    assert lines == [[Line("assistant", "a Abi (2): b\nAbi (2): c")]]


def test_nothing_said_is_nothing() -> None:
    """Neither empty dialogues nor empty lines are kept."""
    assert said("") == said("<START>\n<START>\n \n") == said("{{user}}:\n{{char}}: ") == []


def test_chance_depends_on_the_place() -> None:
    """Equal lines draw for themselves, and alike each time."""
    text = "<START>\n{{char}}: {{pick:a,b,c,d,e,f,g,h}}\n" * 12
    found = said(text)
    assert found == said(text)
    assert len({lines[0][1] for lines in found}) > 1
