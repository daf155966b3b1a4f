"""The state of one simulated conversation and the words that both sides say in it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tools.demo_dialogues import (
    english_reply,
    english_requests,
    english_talk,
    english_unknown,
    english_user,
    japanese_reply,
    japanese_requests,
    japanese_talk,
    japanese_unknown,
    japanese_user,
)
from tools.demo_dialogues.grammar import expand
from tools.demo_dialogues.lexicon import Term
from tools.demo_dialogues.personas import Persona

USER = {"en": english_user.USER, "ja": japanese_user.USER}
REPLY = {"en": english_reply.REPLY, "ja": japanese_reply.REPLY}
TALK = {
    "en": english_talk.TALK | english_unknown.TALK | english_requests.TALK,
    "ja": japanese_talk.TALK | japanese_unknown.TALK | japanese_requests.TALK,
}
GOODBYE = {"en": english_requests.GOODBYE, "ja": japanese_requests.GOODBYE}
GREETINGS = {"en": english_requests.GREETINGS, "ja": japanese_requests.GREETINGS}


@dataclass(slots=True)
class Turn:
    """One user message and its reply, as parts that are joined at the end."""

    user: list[str] = field(default_factory=list)
    reply: list[str] = field(default_factory=list)
    quoted: list[str] = field(default_factory=list)
    """Slot values in the user's message, which a reply may quote."""
    expected: tuple[str, ...] = ()
    """What a correct reply must contain; empty when there is nothing to check."""


@dataclass(slots=True)
class Conversation:
    """What both sides know, and the turn that is being written."""

    rng: random.Random
    persona: Persona
    language: str
    held_out: bool = False
    lower_case: bool = False
    """Whether this user types English without capitals."""
    facts: dict[str, Term] = field(default_factory=dict)
    """What the user has told, by kind; a pet's kind of animal under ``pet_kind``."""
    pending: str | None = None
    """The kind of fact that the character has just asked for."""
    turn: Turn = field(default_factory=Turn)

    def typed(self, term: Term) -> Term:
        """Return a term as this user types it."""
        return Term(term.en.lower(), term.ja) if self.lower_case else term

    def ask(self, key: str, **slots: str) -> None:
        """Add a user's line from the phrase table."""
        self.user_says(self.rng.choice(USER[self.language][key]), **slots)

    def user_says(self, template: str, **slots: str) -> None:
        """Add a user's line from a template."""
        self.turn.user.append(expand(template, self.rng, slots=slots))
        self.turn.quoted.extend(slots.values())

    def answer(self, key: str, **slots: str) -> None:
        """Add a reply from the phrase table."""
        self.reply(self.rng.choice(REPLY[self.language][key]), **slots)

    def reply(self, template: str, **slots: str) -> None:
        """Add a reply from a template in the persona's style."""
        text = expand(template, self.rng, style=self.persona.style, slots={})
        if self.language == "en":
            text = _ease_into_slot(text, slots, self.rng)
        for key, value in slots.items():
            text = text.replace("{" + key + "}", value)
        self.turn.reply.append(text)


def _ease_into_slot(text: str, slots: dict[str, str], rng: random.Random) -> str:
    """Put a word before a slot that would open the sentence in lower case."""
    for key, value in slots.items():
        mark = "] {" + key + "}"
        if value[:1].islower() and mark in text:
            return text.replace(
                mark, "] " + rng.choice(("Oh, ", "Ah, ", "Hmm, ")) + "{" + key + "}", 1
            )
    return text
