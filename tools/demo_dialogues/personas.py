"""Personas: random and shipped characters, and the prompts that describe them."""
# ruff: noqa: E501  -- one phrase with its variants is one line, however long

from __future__ import annotations

import random
from dataclasses import dataclass

from tools.demo_dialogues import lexicon, names
from tools.demo_dialogues.grammar import STYLES, expand
from tools.demo_dialogues.lexicon import Term


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """Who a character is; a fact that is ``None`` or empty is unknown to the character."""

    name: Term
    style: str
    """One of ``grammar.STYLES``."""
    age: int | None = None
    job: Term | None = None
    home: Term | None = None
    likes: tuple[Term, ...] = ()
    dislikes: tuple[Term, ...] = ()
    hobby: Term | None = None
    food: Term | None = None
    colour: Term | None = None
    pet_kind: Term | None = None
    pet_name: Term | None = None
    friend: Term | None = None


def random_persona(rng: random.Random, *, language: str, held_out: bool = False) -> Persona:
    """Invent a character whose prompt will be written in ``language``."""

    def sometimes(chance: float) -> bool:
        return rng.random() < chance

    def same(text: str) -> Term:
        return Term(text, text)

    if sometimes(0.15) and not held_out:
        name = names.bilingual_person(rng)
    else:
        name = same(names.person(rng, language=language, held_out=held_out))
    tastes = _distinct(rng, rng.choice((2, 2, 3)) + rng.choice((1, 1, 2)))
    split = len(tastes) - rng.choice((1, 1, 2)) if len(tastes) > 3 else len(tastes) - 1
    has_pet = sometimes(0.45)
    return Persona(
        name=name,
        style=rng.choice(STYLES),
        age=rng.randint(8, 90) if sometimes(0.6) else None,
        job=rng.choice(lexicon.JOBS) if sometimes(0.8) else None,
        home=names.town(rng, language=language, held_out=held_out) if sometimes(0.75) else None,
        likes=tastes[:split] if sometimes(0.92) else (),
        dislikes=tastes[split:] if sometimes(0.85) else (),
        hobby=rng.choice(lexicon.HOBBIES) if sometimes(0.7) else None,
        food=lexicon.food(rng) if sometimes(0.6) else None,
        colour=rng.choice(lexicon.COLOURS) if sometimes(0.5) else None,
        pet_kind=rng.choice(lexicon.PETS) if has_pet else None,
        pet_name=same(names.pet(rng, language=language, held_out=held_out)) if has_pet else None,
        friend=same(names.person(rng, language=language, held_out=held_out))
        if sometimes(0.3)
        else None,
    )


KAIWA = Persona(
    name=Term("Kaiwa", "カイワ"), style="polite", job=Term("a demo character", "デモキャラクター")
)
"""Who answers when there is no persona: the demo itself."""

GENERIC_PROMPTS = (
    "",
    "You are a helpful assistant.",
    "You are a helpful assistant. Answer briefly.",
    "You are a friendly chat partner.",
    "あなたは親切なアシスタントです。",
    "You are Kaiwa, a demo character.",
)


def _distinct(rng: random.Random, count: int) -> tuple[Term, ...]:
    drawn: dict[str, Term] = {}
    while len(drawn) < count:
        term = lexicon.anything(rng)
        drawn[term.en] = term
    return tuple(drawn.values())


def listing(terms: tuple[Term, ...], language: str) -> str:
    """Join terms as a list in a sentence: ``a, b and c`` or ``aとbとc``."""
    texts = [term.text(language) for term in terms]
    if language == "ja":
        return "と".join(texts)
    return texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + " and " + texts[-1]


_MANNERS = {
    "en": {
        "polite": "(You speak politely and calmly.|You are polite and gentle.|Your way of speaking is calm and polite.)",
        "casual": "(You speak in a friendly, casual way.|You are relaxed and casual.|Your way of speaking is casual.)",
        "energetic": "(You are cheerful and full of energy.|You speak in a lively, cheerful way.)",
    },
    "ja": {
        "polite": "(丁寧に話します。|いつも丁寧な言葉で話します。|落ち着いた丁寧な話し方をします。)",
        "casual": "(くだけた口調で話します。|友達のように気軽に話します。|話し方はカジュアルです。)",
        "energetic": "(元気いっぱいに話します。|明るく元気な口調で話します。|とても元気で陽気です。)",
    },
}

_FACTS = {
    "en": {
        "age": "(You are {v} years old.|Your age is {v}.)",
        "job": "(You are {v}.|You work as {v}.|Your job: {v}.)",
        "home": "(You live in {v}.|Your home is in {v}.|You come from {v} and live there.)",
        "likes": "(You like {v}.|You love {v}.|Things you like: {v}.)",
        "dislikes": "(You dislike {v}.|You do not like {v}.|You hate {v}.|Things you dislike: {v}.)",
        "hobby": "(Your hobby is {v}.|In your free time you enjoy {v}.)",
        "food": "(Your favourite food is {v}.|Your favorite food is {v}.|Favourite food: {v}.)",
        "colour": "(Your favourite colour is {v}.|Your favorite color is {v}.)",
        "pet": "(You have {v} named {n}.|You have {v} called {n}.|You live with {v} named {n}.)",
        "friend": "(Your best friend is {v}.|Your best friend is called {v}.)",
    },
    "ja": {
        "age": "({v}歳です。|年齢は{v}歳です。)",
        "job": "(職業は{v}です。|{v}です。|{v}として暮らしています。)",
        "home": "({v}に住んでいます。|家は{v}にあります。|{v}で暮らしています。)",
        "likes": "({v}が好きです。|{v}が大好きです。|好きなものは{v}です。)",
        "dislikes": "({v}が苦手です。|{v}が嫌いです。|嫌いなものは{v}です。)",
        "hobby": "(趣味は{v}です。|暇なときは{v}を楽しみます。)",
        "food": "(好きな食べ物は{v}です。|一番好きな食べ物は{v}です。)",
        "colour": "(好きな色は{v}です。|一番好きな色は{v}です。)",
        "pet": "({n}という名前の{v}を飼っています。|ペットは{v}の{n}です。|{v}の{n}と暮らしています。)",
        "friend": "(親友は{v}です。|一番の友達は{v}です。)",
    },
}

_OPENINGS = {
    "en": "(You are {n}.|Your name is {n}.|You play {n}.|You are {n}, a character in a chat.)",
    "ja": "(あなたは{n}です。|あなたの名前は{n}です。|あなたは{n}というキャラクターです。)",
}

_CLOSINGS = {
    "en": "(Stay in character.|Answer in one or two sentences.|Begin each reply with an expression tag such as [happy].|)",
    "ja": "(キャラクターとして答えてください。|短く答えてください。|返事の初めに[happy]のような表情タグを付けてください。|)",
}


def prompt_for(persona: Persona, rng: random.Random, *, language: str) -> str:
    """Describe a persona as a system prompt in one of many wordings."""
    if persona is KAIWA:
        return rng.choice(GENERIC_PROMPTS)
    lines = _fact_lines(persona, rng, language)
    if rng.random() < 0.5:
        rng.shuffle(lines)
    manner = expand(_MANNERS[language][persona.style], rng)
    lines.insert(rng.choice((0, len(lines))), manner)
    opening = expand(_OPENINGS[language], rng, slots={"n": _display(persona.name, language)})
    lines = [opening, *lines, expand(_CLOSINGS[language], rng)]
    if language == "en" and rng.random() < 0.2:
        lines = [_third_person(line, persona.name.en) for line in lines]
    return _join(lines, rng, language)


def _fact_lines(persona: Persona, rng: random.Random, language: str) -> list[str]:
    values: dict[str, str] = {}
    if persona.age is not None:
        values["age"] = str(persona.age)
    for key in ("job", "home", "hobby", "food", "colour", "friend"):
        term: Term | None = getattr(persona, key)
        if term is not None:
            values[key] = term.text(language)
    for key, terms in (("likes", persona.likes), ("dislikes", persona.dislikes)):
        if terms:
            values[key] = listing(terms, language)
    pet_name = ""
    if persona.pet_kind and persona.pet_name:
        values["pet"] = persona.pet_kind.text(language)
        pet_name = _display(persona.pet_name, language)
    return [
        expand(_FACTS[language][key], rng, slots={"v": value, "n": pet_name})
        for key, value in values.items()
    ]


def _display(name: Term, language: str) -> str:
    if name.en == name.ja:
        return name.en
    return f"{name.ja}（{name.en}）" if language == "ja" else f"{name.en} ({name.ja})"


def _third_person(line: str, name: str) -> str:
    """Turn ``You are`` into ``Mira is``, as people write character cards."""
    changes = (
        ("You are ", f"{name} is "),
        ("You have ", f"{name} has "),
        ("You do not ", f"{name} does not "),
        ("Your ", f"{name}'s "),
        ("you enjoy", f"{name} enjoys"),
        ("You hate ", f"{name} hates "),
    )
    if line.startswith(("You are " + name, "Your name", "You play", "Stay", "Answer", "Begin")):
        return line
    for before, after in changes:
        line = line.replace(before, after)
    for verb in ("live", "like", "love", "dislike", "work", "speak", "come"):
        line = line.replace(f"You {verb} ", f"{name} {verb}s ")
    return line


def _join(lines: list[str], rng: random.Random, language: str) -> str:
    lines = [line for line in lines if line]
    if rng.random() < 0.2:
        return "\n".join(lines)
    if rng.random() < 0.1:
        return "\n".join("- " + line if index else line for index, line in enumerate(lines))
    return (" " if language == "en" else "").join(lines)
