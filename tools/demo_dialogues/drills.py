"""Dialogues made of copying: repeating words, looking facts up, answering interviews."""

from __future__ import annotations

import random

from tools.demo_dialogues import intents, lexicon, names
from tools.demo_dialogues.generator import Dialogue, Message, Simulation
from tools.demo_dialogues.grammar import expand

_REPEAT = {
    "en": ("Repeat after me: {v}", "(Say|Please say) this: {v}", "Can you say {v}?", "Repeat: {v}"),
    "ja": (
        "続けて言って：{v}",
        "{v}と言って。",
        "次の言葉を繰り返してください：{v}",
        "{v}って言って。",
    ),
}
_WHAT = {"en": "(And |)(what|tell me what) does {n} like?", "ja": "{n}さんは何が好き(ですか|)？"}
_LIKES = {"en": "{n} likes {v}.", "ja": "{n}さんは{v}が好きです。"}
_NOTED = {
    "en": "[happy] (I see!|I will remember that.)",
    "ja": "[happy] (なるほど！|覚えておきます。)",
}


def drill(rng: random.Random) -> Dialogue:
    """Write one dialogue that is dense in words to be copied."""
    language = rng.choice(("en", "ja"))
    kind = rng.random()
    if kind < 0.2:
        return _repetition(rng, language)
    if kind < 0.4:
        return _lookup(rng, language)
    return _interview(rng, language)


def _repetition(rng: random.Random, language: str) -> Dialogue:
    messages = []
    for _ in range(rng.randint(1, 3)):
        words = [_word(rng, language) for _ in range(rng.randint(1, 6))]
        text = (", " if language == "en" else "、").join(words)
        user = expand(rng.choice(_REPEAT[language]), rng, slots={"v": text})
        reply = f"[neutral] {text}"
        messages += [Message("user", user), Message("assistant", reply, "all")]
    return Dialogue(tuple(messages), language=language)


def _lookup(rng: random.Random, language: str) -> Dialogue:
    likes: dict[str, str] = {}
    for _ in range(rng.randint(2, 5)):
        likes[names.person(rng, language=language)] = lexicon.anything(rng).text(language)
    told = [_LIKES[language].format(n=name, v=value) for name, value in likes.items()]
    messages = [
        Message("user", (" " if language == "en" else "").join(told)),
        Message("assistant", expand(_NOTED[language], rng), "all"),
    ]
    asked = list(likes)
    rng.shuffle(asked)
    for name in asked:
        reply = _LIKES[language].format(n=name, v=likes[name])
        reply = f"[happy] {reply}"
        user = expand(_WHAT[language], rng, slots={"n": name})
        messages += [Message("user", user), Message("assistant", reply, "all")]
    return Dialogue(tuple(messages), language=language)


def _interview(rng: random.Random, language: str) -> Dialogue:
    simulation = Simulation(rng, language=language, persona_language=language)
    kinds = list(intents.PERSONA_KINDS)
    rng.shuffle(kinds)
    told = rng.sample(intents.FACT_KINDS, rng.randint(1, 3))
    for kind in ("name", *told):
        simulation.turn(lambda state, kind=kind: intents.tell_fact(state, kind), may_ask=False)  # type: ignore[misc]
    questions = [(intents.ask_persona, kind) for kind in kinds[: rng.randint(2, 7)]]
    questions += [(intents.recall_fact, kind) for kind in {"name": 0, **dict.fromkeys(told, 0)}]
    rng.shuffle(questions)
    for ask, kind in questions:
        simulation.turn(lambda state, ask=ask, kind=kind: ask(state, kind), may_ask=False)  # type: ignore[misc]
    return simulation.dialogue()


def _word(rng: random.Random, language: str) -> str:
    if rng.random() < 0.6:
        return names.person(rng, language=language)
    return lexicon.anything(rng).text(language)
