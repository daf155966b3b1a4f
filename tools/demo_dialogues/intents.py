"""What a user may do in one turn, and how the character answers it."""

from __future__ import annotations

from tools.demo_dialogues import lexicon, names
from tools.demo_dialogues.conversation import GOODBYE, TALK, USER, Conversation
from tools.demo_dialogues.lexicon import Term
from tools.demo_dialogues.personas import Persona, listing

FACT_KINDS = (
    "name",
    "home",
    "job",
    "food",
    "colour",
    "hobby",
    "like",
    "dislike",
    "pet",
    "age",
    "friend",
)
WANTED_KINDS = ("name", "home", "job", "food", "colour", "hobby", "like", "pet")
PERSONA_KINDS = (
    "name",
    "about",
    "age",
    "job",
    "home",
    "likes",
    "dislikes",
    "hobby",
    "food",
    "colour",
    "pet",
    "friend",
)
SHARED_KINDS = ("name", "home", "job", "food", "colour", "hobby")
"""Kinds that the user can return with "and you?"."""

_CONFUSING = ("hate", "嫌い")
"""Words of questions that ask for a like by its opposite."""

_JUNK = {
    "en": "asdfghjklqwertyuiopzxcvbnm",
    "ja": "あいうえおかきくけこさしすせそたちつてとなにぬねのまみむめもん",
}


def draw_fact(state: Conversation, kind: str) -> Term:
    """Draw a new value of a user's fact, as the user types it."""
    rng, language = state.rng, state.language
    if kind in ("name", "friend"):
        text = names.person(rng, language=language, held_out=state.held_out)
        return state.typed(Term(text, text))
    if kind == "pet":
        text = names.pet(rng, language=language, held_out=state.held_out)
        return state.typed(Term(text, text))
    if kind == "home":
        return state.typed(names.town(rng, language=language, held_out=state.held_out))
    if kind == "age":
        text = str(rng.randint(6, 89))
        return Term(text, text)
    if kind in ("job", "colour", "hobby"):
        tables = {"job": lexicon.JOBS, "colour": lexicon.COLOURS, "hobby": lexicon.HOBBIES}
        return state.typed(rng.choice(tables[kind]))
    return state.typed(lexicon.food(rng) if kind == "food" else lexicon.anything(rng))


def tell_fact(state: Conversation, kind: str, *, phrase: str = "tell") -> None:
    """Let the user tell a fact about themselves; ``phrase`` is ``tell``, ``answer`` or ``fix``."""
    value = draw_fact(state, kind)
    state.facts[kind] = value
    slots = {"v": value.text(state.language)}
    if kind == "pet":
        animal = state.rng.choice(lexicon.PETS)
        state.facts["pet_kind"] = animal
        slots["k"] = animal.text(state.language)
    state.ask(f"{phrase}_{kind}", **slots)
    state.answer(f"{'fix' if phrase == 'fix' else 'tell'}_{kind}", **slots)


def recall_fact(state: Conversation, kind: str) -> None:
    """Let the user ask what they have told, or what they have not."""
    animal = state.facts.get("pet_kind") or state.rng.choice(lexicon.PETS)
    animal_text = animal.text(state.language)
    short = animal_text.removeprefix("a ").removeprefix("an ")
    state.ask(f"ask_my_{kind}", p=short, k=animal_text)
    state.turn.quoted.clear()
    value = state.facts.get(kind)
    if value is None:
        state.answer("no_name" if kind == "name" else "no_fact")
        return
    text = value.text(state.language)
    state.answer(f"my_{kind}", v=text, k=animal_text)
    state.turn.expected += (text,)


def recall_everything(state: Conversation) -> None:
    """Let the user ask for all that the character knows about them."""
    state.ask("about_me")
    known = [kind for kind in ("home", "job", "food", "hobby", "pet") if kind in state.facts][:2]
    if "name" in state.facts:
        name = state.facts["name"].text(state.language)
        state.answer("about_me_name", v=name)
        state.turn.expected += (name,)
    elif not known:
        state.answer("about_me_none")
    for kind in known:
        pet = state.facts.get("pet_kind", state.facts[kind]).text(state.language)
        state.answer(f"my_{kind}", v=state.facts[kind].text(state.language), k=pet)


def persona_value(persona: Persona, kind: str, language: str) -> str | None:
    """Return what a character says about one kind of fact, or ``None`` where it has none."""
    if kind == "age":
        return None if persona.age is None else str(persona.age)
    if kind in ("likes", "dislikes"):
        terms = persona.likes if kind == "likes" else persona.dislikes
        return listing(terms, language) if terms else None
    term: Term | None = persona.pet_name if kind == "pet" else getattr(persona, kind)
    return None if term is None else term.text(language)


def answer_about_persona(state: Conversation, kind: str) -> None:
    """Answer a question about the character."""
    persona, language = state.persona, state.language
    if kind == "about":
        _introduce(state)
        return
    value = persona_value(persona, kind, language)
    if value is None:
        state.answer(f"no_{kind}")
        return
    animal = persona.pet_kind.text(language) if persona.pet_kind else ""
    # The tables use {v} for the name in English and {n} in Japanese, where {k} comes first.
    state.answer(f"ask_{kind}", v=value, n=value, k=animal)
    if kind in ("likes", "dislikes"):
        terms = persona.likes if kind == "likes" else persona.dislikes
        state.turn.expected += tuple(term.text(language) for term in terms)
    else:
        state.turn.expected += (value,)


def ask_persona(state: Conversation, kind: str) -> None:
    """Let the user ask about the character."""
    state.ask(f"ask_{kind}")
    answer_about_persona(state, kind)


def _introduce(state: Conversation) -> None:
    persona, language = state.persona, state.language
    name = persona.name.text(language)
    state.answer("about_name", v=name)
    state.turn.expected += (name,)
    lines = {
        "about_job": persona.job,
        "about_home": persona.home,
        "about_like": persona.likes[0] if persona.likes else None,
        "about_hobby": persona.hobby,
    }
    known = [(key, term) for key, term in lines.items() if term is not None]
    for key, term in known[: state.rng.choice((2, 3))]:
        state.answer(key, v=term.text(language))
    if not known:
        state.answer("about_none")


def ask_taste(state: Conversation) -> None:
    """Let the user ask whether the character likes something."""
    persona, rng = state.persona, state.rng
    choices: list[tuple[str, Term]] = [("like_yes", term) for term in persona.likes]
    choices += [("like_no", term) for term in persona.dislikes]
    if persona.food:
        choices.append(("like_food", persona.food))
    if persona.hobby:
        choices.append(("like_hobby", persona.hobby))
    stated = {term.en for _, term in choices}
    if not choices or rng.random() < 0.35:
        term = lexicon.anything(rng)
        while term.en in stated:
            term = lexicon.anything(rng)
        key = "like_unknown"
    else:
        key, term = rng.choice(choices)
    text = state.typed(term).text(state.language)
    state.ask("do_you_like", v=text)
    state.answer(key, v=text)
    state.turn.expected += (text,) if key != "like_unknown" else ()


def ask_whether(state: Conversation, key: str, term: Term) -> None:
    """Let the user ask whether the character likes ``term``; ``key`` is the answer's."""
    lines = [
        line
        for line in USER[state.language]["do_you_like"]
        if not any(word in line for word in _CONFUSING)
    ]
    text = state.typed(term).text(state.language)
    state.user_says(state.rng.choice(lines), v=text)
    state.answer(key, v=text)


def talk(state: Conversation, key: str) -> None:
    """Exchange small talk."""
    rng, language = state.rng, state.language
    users, replies = TALK[language][key]
    junk = "".join(rng.choice(_JUNK[language]) for _ in range(rng.randint(3, 9)))
    slots = {
        "food": state.typed(lexicon.food(rng)).text(language),
        "city": state.typed(rng.choice(lexicon.CITIES)).text(language),
        "thing": state.typed(rng.choice(lexicon.EVERYTHING)).text(language),
        "person": names.person(rng, language=language),
        "n": str(rng.randint(1, 999)),
        "m": str(rng.randint(1, 99)),
        "junk": junk,
    }
    state.user_says(rng.choice(users), **slots)
    state.reply(rng.choice(replies), food=slots["food"], city=slots["city"])


def goodbye(state: Conversation) -> None:
    """Part, by name where the name is known."""
    lines = GOODBYE[state.language]
    state.user_says(state.rng.choice(lines["user"]))
    name = state.facts.get("name")
    if name is None:
        state.reply(state.rng.choice(lines["unnamed"]))
    else:
        state.reply(state.rng.choice(lines["named"]), u=name.text(state.language))
