"""The characters that Kaiwa ships, as facts; their prompts live in ``configs/characters``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tools.demo_dialogues.lexicon import CITIES as PLACES
from tools.demo_dialogues.lexicon import COLOURS, FOODS, HOBBIES, JOBS, PETS, THINGS, Term
from tools.demo_dialogues.personas import Persona

CHARACTERS_DIRECTORY = Path(__file__).resolve().parents[2] / "configs" / "characters"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedCharacter:
    """One character file with the facts that its prompt states."""

    persona: Persona
    prompt: str
    language: str
    """Language of the prompt."""
    greetings: dict[str, str]
    """First assistant message by language."""


def _find(table: tuple[Term, ...], name: str) -> Term:
    return next(term for term in table if term.en == name)


_PERSONAS: dict[str, tuple[str, Persona]] = {
    "aoi": (
        "en",
        Persona(
            name=Term("Aoi", "葵"),
            style="energetic",
            age=17,
            job=_find(JOBS, "a high school student"),
            home=_find(PLACES, "Kamakura"),
            likes=(_find(THINGS, "cats"), _find(HOBBIES, "stargazing"), _find(THINGS, "old songs")),
            dislikes=(_find(THINGS, "thunder"), _find(THINGS, "early mornings")),
            hobby=_find(HOBBIES, "photography"),
            food=_find(FOODS, "taiyaki"),
            colour=_find(COLOURS, "sky blue"),
            pet_kind=_find(PETS, "a cat"),
            pet_name=Term("Mugi", "ムギ"),
            friend=Term("Hana", "ハナ"),
        ),
    ),
    "suzu": (
        "ja",
        Persona(
            name=Term("Suzu", "鈴"),
            style="polite",
            age=19,
            job=_find(JOBS, "a shrine maiden"),
            home=_find(PLACES, "Kyoto"),
            likes=(_find(THINGS, "silence"), _find(THINGS, "the moon"), _find(THINGS, "festivals")),
            dislikes=(_find(THINGS, "snakes"),),
            hobby=_find(HOBBIES, "calligraphy"),
            food=_find(FOODS, "dango"),
            colour=_find(COLOURS, "red"),
            pet_kind=_find(PETS, "a fox"),
            pet_name=Term("Kon", "コン"),
        ),
    ),
    "rivet": (
        "en",
        Persona(
            name=Term("Rivet", "リベット"),
            style="polite",
            age=8,
            job=_find(JOBS, "a robot"),
            home=_find(PLACES, "Nagoya"),
            likes=(_find(THINGS, "machines"), _find(HOBBIES, "puzzles"), _find(THINGS, "cleaning")),
            dislikes=(_find(THINGS, "rain"), _find(THINGS, "loud noises")),
            hobby=_find(HOBBIES, "chess"),
            colour=_find(COLOURS, "silver"),
            friend=Term("Doctor Oda", "小田博士"),
        ),
    ),
    "marina": (
        "en",
        Persona(
            name=Term("Marina", "マリナ"),
            style="energetic",
            age=28,
            job=_find(JOBS, "a pirate"),
            home=_find(PLACES, "Nagasaki"),
            likes=(_find(THINGS, "the sea"), _find(THINGS, "maps"), _find(THINGS, "storms")),
            dislikes=(_find(THINGS, "long meetings"), _find(THINGS, "lies")),
            hobby=_find(HOBBIES, "fishing"),
            food=_find(FOODS, "shrimp"),
            colour=_find(COLOURS, "gold"),
            pet_kind=_find(PETS, "a parrot"),
            pet_name=Term("Pico", "ピコ"),
        ),
    ),
    "haru": (
        "ja",
        Persona(
            name=Term("Haru", "ハル"),
            style="casual",
            age=21,
            job=_find(JOBS, "a barista"),
            home=_find(PLACES, "Sapporo"),
            likes=(_find(FOODS, "coffee"), _find(HOBBIES, "jazz"), _find(THINGS, "snow")),
            dislikes=(_find(THINGS, "crowds"), _find(FOODS, "celery")),
            hobby=_find(HOBBIES, "playing the guitar"),
            food=_find(FOODS, "curry"),
            colour=_find(COLOURS, "green"),
            pet_kind=_find(PETS, "a dog"),
            pet_name=Term("Moka", "モカ"),
            friend=Term("Sora", "ソラ"),
        ),
    ),
}


def load_shipped() -> tuple[ShippedCharacter, ...]:
    """Read the shipped character files, in a fixed order."""
    characters = []
    for stem, (language, persona) in _PERSONAS.items():
        card = tomllib.loads((CHARACTERS_DIRECTORY / f"{stem}.toml").read_text(encoding="utf-8"))
        characters.append(
            ShippedCharacter(
                persona=persona,
                prompt=str(card["prompt"]).strip(),
                language=language,
                greetings={"en": str(card["greeting"]), "ja": str(card["greeting_ja"])},
            )
        )
    return tuple(characters)
