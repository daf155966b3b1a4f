"""The generator writes dialogues that are well formed, varied and true to their facts."""

from __future__ import annotations

import random

import pytest

from tools.demo_dialogues import intents, names
from tools.demo_dialogues.generator import Dialogue, Simulation, dialogue
from tools.demo_dialogues.grammar import TAG_PATTERN


def _many(count: int = 150) -> list[Dialogue]:
    rng = random.Random(3)
    return [dialogue(rng) for _ in range(count)]


def test_same_seed_same_dialogues() -> None:
    """The generator depends on its seed alone."""
    assert _many(20) == _many(20)


def test_learned_replies_open_with_a_tag() -> None:
    """A reply that is learned whole opens with an expression tag."""
    for item in _many():
        for message in item.messages:
            if message.learn == "all":
                assert TAG_PATTERN.match(message.content), message.content


def test_user_and_system_are_never_learned() -> None:
    """The model learns what characters say, not what users say."""
    for item in _many():
        assert all(m.learn == "none" for m in item.messages if m.role != "assistant")


def test_last_reply_is_always_learned() -> None:
    """The last reply keeps its tag even when a client stripped the earlier ones."""
    assert all(item.messages[-1].learn == "all" for item in _many())


def test_some_histories_have_no_tags() -> None:
    """Part of the dialogues show the clean history that some clients send."""
    bodies = [any(m.learn == "body" for m in item.messages) for item in _many()]
    assert 0.1 < sum(bodies) / len(bodies) < 0.5


@pytest.mark.parametrize("language", ["en", "ja"])
def test_told_name_is_recalled(language: str) -> None:
    """The reply to "what is my name?" contains the name that was told."""
    for seed in range(20):
        simulation = Simulation(random.Random(seed), language=language)
        simulation.turn(lambda state: intents.tell_fact(state, "name"))
        name = simulation.state.facts["name"].text(language)
        turn = simulation.turn(lambda state: intents.recall_fact(state, "name"))
        assert turn.expected == (name,)
        assert name in " ".join(turn.reply)


def test_training_names_are_never_held_out() -> None:
    """No name of the evaluation is drawn for training."""
    rng = random.Random(5)
    drawn = [names.person(rng, language=lang) for lang in ("en", "ja") for _ in range(300)]
    assert not any(names.is_held_out(name) for name in drawn)


def test_evaluation_names_are_held_out() -> None:
    """The evaluation draws only names that training cannot draw."""
    rng = random.Random(5)
    assert all(
        names.is_held_out(names.person(rng, language="ja", held_out=True)) for _ in range(100)
    )


def test_names_are_many() -> None:
    """Names repeat so rarely that they must be copied, not remembered."""
    rng = random.Random(6)
    assert len({names.person(rng, language="en") for _ in range(1000)}) > 600
