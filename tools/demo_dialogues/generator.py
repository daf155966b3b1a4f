"""Simulate whole dialogues between a user and a character."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from tools.demo_dialogues import intents
from tools.demo_dialogues.asked import asked_kind
from tools.demo_dialogues.conversation import GREETINGS, REPLY, TALK, USER, Conversation, Turn
from tools.demo_dialogues.grammar import expand, join_reply, roughen, strip_tags
from tools.demo_dialogues.personas import KAIWA, prompt_for, random_persona
from tools.demo_dialogues.shipped import ShippedCharacter, load_shipped


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a dialogue."""

    role: str
    content: str
    learn: str = "none"
    """What the loss sees: ``all``, ``none``, or ``body`` (all but the first token, for a reply
    whose tag a client has stripped)."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Messages in order, and what the last reply must contain."""

    messages: tuple[Message, ...]
    expected: tuple[str, ...] = ()
    language: str = "en"
    """Language of the last turn."""


_OPENERS = (
    "hello",
    "how",
    "morning",
    "thanks",
    "okay",
    "laugh",
    "back",
    "did_today",
    "weather_talk",
    "praise",
)
_MOODS = ("fine", "fine", "happy", "sad", "tired", "bored", "nervous")


@cache
def shipped_characters() -> tuple[ShippedCharacter, ...]:
    """Return the shipped characters, read once."""
    return load_shipped()


class Simulation:
    """Writes one dialogue turn by turn."""

    def __init__(
        self,
        rng: random.Random,
        *,
        language: str,
        persona_language: str | None = None,
        shipped: ShippedCharacter | None = None,
        held_out: bool = False,
        mixed: bool = False,
    ) -> None:
        """Choose who talks.

        Args:
            rng: The dialogue's own source of randomness.
            language: What the user writes in.
            persona_language: What the prompt is written in; mostly ``language`` when ``None``.
            shipped: The character; drawn when ``None``.
            held_out: Use names and towns that training never sees.
            mixed: Let the user switch language now and then.
        """
        self._rng = rng
        self._mixed = mixed
        self._messages: list[Message] = []
        if persona_language is None:
            persona_language = (
                language if rng.random() < 0.8 else ("ja" if language == "en" else "en")
            )
        kind = 1.0 if held_out else rng.random()
        if shipped is None and kind < 0.15:
            shipped = rng.choice(shipped_characters())
        if shipped is not None:
            persona, prompt = shipped.persona, shipped.prompt
        else:
            persona = (
                KAIWA
                if kind < 0.23
                else random_persona(rng, language=persona_language, held_out=held_out)
            )
            prompt = prompt_for(persona, rng, language=persona_language)
        self.state = Conversation(
            rng,
            persona,
            language,
            held_out=held_out,
            lower_case=rng.random() < 0.2,
        )
        if prompt:
            self._messages.append(Message("system", prompt))
        if rng.random() < 0.25:
            self._greet(shipped)

    def _greet(self, shipped: ShippedCharacter | None) -> None:
        state = self.state
        if shipped and self._rng.random() < 0.7:
            text = shipped.greetings[state.language]
        else:
            name = state.persona.name.text(state.language)
            template = self._rng.choice(GREETINGS[state.language])
            text = expand(template, self._rng, style=state.persona.style, slots={"v": name})
        self._messages.append(Message("assistant", text, "all"))
        state.pending = asked_kind(text, state.language)

    def turn(self, act: Callable[[Conversation], None], *, may_ask: bool = True) -> Turn:
        """Let both sides speak once and return what was said."""
        state, rng = self.state, self._rng
        state.turn = Turn()
        state.pending = None
        act(state)
        turn = state.turn
        if (
            may_ask
            and len(turn.reply) == 1
            and not turn.reply[0].endswith("?")
            and rng.random() < 0.2
        ):
            wanted = [kind for kind in intents.WANTED_KINDS if kind not in state.facts]
            if wanted:
                state.reply(rng.choice(REPLY[state.language]["want_" + rng.choice(wanted)]))
        text = (" " if state.language == "en" else rng.choice(("", "", " "))).join(turn.user)
        if state.language == "en":
            text = roughen(text, rng, keep=turn.quoted)
            if state.lower_case:
                text = text.lower()
        reply = join_reply(turn.reply, language=state.language)
        self._messages += [Message("user", text), Message("assistant", reply, "all")]
        state.pending = asked_kind(reply, state.language)
        return turn

    def free_turn(self) -> None:
        """Let the user do whatever comes to mind."""
        if self._mixed and self._rng.random() < 0.3:
            self.state.language = "ja" if self.state.language == "en" else "en"
        pending = self.state.pending
        if pending and self._rng.random() < 0.65:
            self.turn(lambda state: _answer_question(state, pending))
        elif self._rng.random() < 0.15:
            self.turn(_two_things)
        else:
            self.turn(_one_thing)

    def calm_turn(self) -> None:
        """Let the user say something that changes no fact: small talk or a question."""
        keys = tuple(TALK[self.state.language])
        if self._rng.random() < 0.7:
            self.turn(lambda state: intents.talk(state, self._rng.choice(keys)), may_ask=False)
        else:
            kind = self._rng.choice(intents.PERSONA_KINDS)
            self.turn(lambda state: intents.ask_persona(state, kind), may_ask=False)

    def dialogue(self, *, expected: Sequence[str] = ()) -> Dialogue:
        """Return all that was said."""
        return Dialogue(tuple(self._messages), tuple(expected), self.state.language)


def _answer_question(state: Conversation, kind: str) -> None:
    if kind == "mood":
        intents.talk(state, state.rng.choice(_MOODS))
        return
    key = "answer" if f"answer_{kind}" in USER[state.language] else "tell"
    intents.tell_fact(state, kind, phrase=key)
    if kind in intents.SHARED_KINDS and state.rng.random() < 0.25:
        state.user_says(state.rng.choice(TALK[state.language]["and_you"][0]))
        state.turn.expected = ()
        intents.answer_about_persona(state, kind)


def _one_thing(state: Conversation) -> None:
    rng = state.rng
    kind = rng.random()
    if kind < 0.18:
        intents.tell_fact(
            state,
            "name"
            if "name" not in state.facts and rng.random() < 0.4
            else rng.choice(intents.FACT_KINDS),
        )
    elif kind < 0.35:
        _recall(state)
    elif kind < 0.55:
        intents.ask_persona(state, rng.choice(intents.PERSONA_KINDS))
    elif kind < 0.65:
        intents.ask_taste(state)
    elif kind < 0.68 and "name" in state.facts:
        intents.tell_fact(state, "name", phrase="fix")
    elif kind < 0.70:
        intents.recall_everything(state)
    else:
        intents.talk(state, rng.choice(tuple(TALK[state.language])))


def _recall(state: Conversation) -> None:
    known = [kind for kind in state.facts if kind in intents.FACT_KINDS]
    if known and state.rng.random() < 0.75:
        kind = "name" if "name" in known and state.rng.random() < 0.4 else state.rng.choice(known)
    else:
        kind = state.rng.choice(("name", *intents.FACT_KINDS))
    intents.recall_fact(state, kind)


def _two_things(state: Conversation) -> None:
    rng = state.rng
    if rng.random() < 0.5:
        intents.talk(state, rng.choice(_OPENERS))
    else:
        intents.tell_fact(state, rng.choice(("name", "name", *intents.FACT_KINDS)))
    if state.turn.reply[0].endswith("?"):
        # Two questions in one reply would be one too many: keep the first sentence only.
        state.turn.reply[0] = without_question(state.turn.reply[0])
    second = rng.random()
    if second < 0.6:
        intents.ask_persona(state, rng.choice(intents.PERSONA_KINDS))
    elif second < 0.8:
        intents.ask_taste(state)
    else:
        _recall(state)


def without_question(text: str) -> str:
    """Return the first sentence, without the question that may follow it."""
    for stop in (". ", "! ", "。", "！"):
        head, found, tail = text.partition(stop)
        if found and tail:
            return head + found.strip()
    return text


def dialogue(rng: random.Random, *, longest: int = 20) -> Dialogue:
    """Write one training dialogue of at most ``longest`` turns."""
    language = rng.choice(("en", "ja"))
    simulation = Simulation(rng, language=language, mixed=rng.random() < 0.12)
    kind = rng.random()
    turns = (
        rng.randint(1, 4)
        if kind < 0.35
        else rng.randint(5, 10)
        if kind < 0.8
        else rng.randint(11, 20)
    )
    for _ in range(min(turns, longest)):
        simulation.free_turn()
    if rng.random() < 0.25:
        simulation.turn(intents.goodbye, may_ask=False)
    return as_clients_send_it(simulation.dialogue(), rng)


def as_clients_send_it(spoken: Dialogue, rng: random.Random) -> Dialogue:
    """Strip the tags from earlier replies of some dialogues, as clients with a clean history do."""
    kind = rng.random()
    if kind > 0.35:
        return spoken
    share = 1.0 if kind < 0.28 else 0.5
    messages = list(spoken.messages)
    for index, message in enumerate(messages[:-1]):
        if message.role == "assistant" and rng.random() < share:
            messages[index] = replace(message, content=strip_tags(message.content), learn="body")
    return replace(spoken, messages=tuple(messages))
