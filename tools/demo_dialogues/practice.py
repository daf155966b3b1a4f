"""Dialogues about what a young model still gets wrong: tastes, names, greetings, moods."""

from __future__ import annotations

import random
from functools import partial

from tools.demo_dialogues import intents, lexicon
from tools.demo_dialogues.conversation import TALK, Conversation
from tools.demo_dialogues.generator import (
    Dialogue,
    Simulation,
    as_clients_send_it,
    shipped_characters,
    without_question,
)
from tools.demo_dialogues.lexicon import Term
from tools.demo_dialogues.personas import Persona

_SAID = {
    "en": {
        "hello": ("(hello|hi|hey|Hello|Hi|Hey)(!|.|)", "(Hi|Hello) (there|again)(!|)"),
        "how": ("(How|how) are you(?| today?| doing?|)",),
        "are_ai": ("Are you (really |)(an AI|human|a robot)?", "(So |)(you're|you are) an AI?"),
        "joke": ("(Tell me|Say|Know) a joke(.|!|, please.|)", "(A|Another) joke, please(.|!|)"),
        "insult": (
            "(You're|You are|ur) (so |really |)(stupid|dumb|boring|useless|annoying)(.|!|)",
            "I hate you(.|!|)",
            "(Stupid|Idiot|Dumb)(.|!| bot.| AI.|)",
        ),
        "tired": (
            "(I'm|I am|i'm) (so |very |really |a bit |)tired( today|)(.|!|...|)",
            "(Work|School|My job) (is|was) (so |really |)(hard|tiring|exhausting|stressful)(.|)",
        ),
        "okay": ("(ok|okay|I see|cool|nice)(.|!|)",),
        "thanks": ("(thanks|thank you|Thank you)(!|.|)",),
    },
    "ja": {
        "hello": ("(こんにちは|こんばんは|やあ|どうも|やっほー)(。|！|)",),
        "how": ("(お|)元気(ですか|)？", "調子はどう(ですか|)？"),
        "are_ai": ("(あなたは|君は|)(AI|ロボット|人間)(ですか|なの|なんですか|)？",),
        "joke": (
            "(何か|)冗談(を|)(言って|お願い|聞かせて)(ください|よ|)(。|！|)",
            "冗談を言って(。|！|)",
        ),
        "insult": (
            "(ばか|バカ|あほ|役立たず|つまらない|使えない)(だな|だね|ですね|)(。|！|)",
            "(君|あなた|お前)(は|って)(ばか|バカ|つまらない|役立たず)(だな|だね|です|)(。|！|)",
            "(君|あなた|お前)(が|は|のことが)(嫌い|大嫌い)(だ|です|)(。|！|)",
        ),
        "tired": (
            "(今日は|すごく|とても|本当に|)疲れた(な|よ|ね|。|！|)",
            "(最近、|)(仕事|学校)が(つらい|しんどい|大変|きつい)(です|よ|な|んだ|)(。|)",
            "疲れました(。|)",
        ),
        "okay": ("(なるほど|そうなんだ|そっか)(。|！|)",),
        "thanks": ("ありがとう(ございます|)(。|！|)",),
    },
}
"""Further ways to say what the small talk tables answer."""

_ASKED = tuple(kind for kind in intents.PERSONA_KINDS if kind != "about")


def practice(rng: random.Random) -> Dialogue:
    """Write one dialogue of one of five kinds."""
    language = rng.choice(("en", "ja"))
    kind = rng.random()
    if kind < 0.30:
        simulation = _tastes(rng, language)
    elif kind < 0.42:
        simulation = _facts_across_languages(rng, language)
    elif kind < 0.60:
        simulation = _shipped(rng, language)
    elif kind < 0.72:
        simulation = _moods(rng, language)
    else:
        simulation = _memory(rng, "ja" if rng.random() < 0.6 else "en")
    return as_clients_send_it(simulation.dialogue(), rng)


def _tastes(rng: random.Random, language: str) -> Simulation:
    """Ask about what the prompt says is liked and disliked, and about other things."""
    simulation = Simulation(rng, language=language)
    for key, term in _taste_questions(simulation.state.persona, rng)[: rng.randint(3, 8)]:
        if rng.random() < 0.15:
            simulation.calm_turn()
        if rng.random() < 0.2:
            kind = rng.choice(("dislikes", "dislikes", "likes"))
            simulation.turn(partial(intents.ask_persona, kind=kind), may_ask=False)
        simulation.turn(partial(intents.ask_whether, key=key, term=term), may_ask=False)
    return simulation


def _taste_questions(persona: Persona, rng: random.Random) -> list[tuple[str, Term]]:
    questions = [("like_yes", term) for term in persona.likes]
    questions += [("like_no", term) for term in persona.dislikes] * 2
    questions += [("like_food", persona.food)] if persona.food else []
    questions += [("like_hobby", persona.hobby)] if persona.hobby else []
    stated = {term.en for _, term in questions}
    others = [lexicon.anything(rng) for _ in range(2)]
    questions += [("like_unknown", term) for term in others if term.en not in stated]
    rng.shuffle(questions)
    return questions


def _shipped(rng: random.Random, language: str) -> Simulation:
    """Talk with a shipped character about anything that is practised here."""
    character = rng.choice(shipped_characters())
    simulation = Simulation(rng, language=language, shipped=character)
    tastes = _taste_questions(simulation.state.persona, rng)
    for _ in range(rng.randint(3, 9)):
        kind = rng.random()
        if kind < 0.4:
            simulation.turn(partial(intents.ask_persona, kind=rng.choice(_ASKED)), may_ask=False)
        elif kind < 0.65 and tastes:
            key, term = tastes.pop()
            simulation.turn(partial(intents.ask_whether, key=key, term=term), may_ask=False)
        elif kind < 0.85:
            simulation.turn(partial(_say, key=rng.choice(tuple(_SAID[language]))))
        else:
            simulation.free_turn()
    return simulation


def _facts_across_languages(rng: random.Random, language: str) -> Simulation:
    """Ask in one language what the prompt tells in the other."""
    other = "ja" if language == "en" else "en"
    simulation = Simulation(rng, language=language, persona_language=other)
    kinds = rng.sample(_ASKED, rng.randint(3, 8))
    for kind in kinds:
        simulation.turn(partial(intents.ask_persona, kind=kind), may_ask=False)
    return simulation


def _moods(rng: random.Random, language: str) -> Simulation:
    """Greet, often right after being greeted, and say how one feels."""
    simulation = Simulation(rng, language=language)
    if rng.random() < 0.7:
        simulation.turn(partial(_say, key="hello"))
    for _ in range(rng.randint(1, 6)):
        if rng.random() < 0.3:
            simulation.free_turn()
        else:
            simulation.turn(partial(_say, key=rng.choice(tuple(_SAID[language]))))
    return simulation


def _say(state: Conversation, key: str) -> None:
    state.user_says(state.rng.choice(_SAID[state.language][key]))
    state.reply(state.rng.choice(TALK[state.language][key][1]))


def _memory(rng: random.Random, language: str) -> Simulation:
    """Tell one fact or two in one message, talk of other things, and ask."""
    simulation = Simulation(rng, language=language)
    kinds = rng.sample([kind for kind in intents.FACT_KINDS if kind != "name"], 2)
    kinds = ["name", *kinds][: rng.choice((1, 2, 2, 3))] if rng.random() < 0.75 else kinds
    if len(kinds) > 1 and rng.random() < 0.6:
        simulation.turn(partial(_tell_two, kinds=kinds[:2]), may_ask=False)
        told = kinds[:2]
    else:
        told = []
    for kind in kinds[len(told) :]:
        simulation.turn(partial(intents.tell_fact, kind=kind), may_ask=False)
    rng.shuffle(kinds)
    for kind in kinds:
        for _ in range(rng.choice((0, 0, 1, 2, 5, 9) if kind == kinds[0] else (0, 0, 1))):
            simulation.calm_turn()
        simulation.turn(partial(intents.recall_fact, kind=kind), may_ask=False)
    return simulation


def _tell_two(state: Conversation, kinds: list[str]) -> None:
    for kind in kinds:
        intents.tell_fact(state, kind)
    state.turn.reply[0] = without_question(state.turn.reply[0])
