"""Measure a demo character model on dialogues with names that training never saw."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from tools.demo_dialogues import intents
from tools.demo_dialogues.generator import Dialogue, Message, Simulation, shipped_characters
from tools.demo_dialogues.grammar import TAGS, strip_tags
from tools.demo_dialogues.tokenizer import END, PAD, render_prompt

DISTANCES = (0, 2, 6, 12)
"""Turns of small talk between telling a fact and asking for it."""

_SEED = 7
_BATCH = 30
_RECALLED = ("home", "job", "food", "colour", "hobby", "like", "pet", "friend")
_ASKED = (
    "name",
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
_ADMITS = re.compile(
    r"not told|do not know|don't know|don't think|do not think|聞いて|伺って|知りません|知らない"
)
_DENIES = re.compile(r"\bno\b|not like|don't like|苦手|いいえ|好きでは|遠慮|いやだ")
_AFFIRMS = re.compile(
    r"\byes\b|\bi (?:really )?(?:love|like)|of course|i do!"
    r"|はい|もちろん|好き(?:です(?!か)|だ|なん|！)"
)
_JAPANESE = re.compile(r"[ぁ-んァ-ヶ一-龯]")
_BRACKETS = re.compile(r"\[[^\]]*\]?")
_VALID_TAGS = {f"[{tag}]" for tag in TAGS}


@dataclass(frozen=True, slots=True)
class Case:
    """A dialogue whose last reply the model must write."""

    dialogue: Dialogue
    admit: bool = False
    """Whether the right answer is that the character does not know."""
    denied: bool | None = None
    """Whether the right answer says that the character dislikes what it is asked about."""


@dataclass(slots=True)
class Row:
    """Counts for one kind of question in one language."""

    title: str
    language: str
    distance: str
    correct: int = 0
    total: int = 0


@dataclass(slots=True)
class Evaluation:
    """All rows, and the form of every reply that was generated for them."""

    rows: list[Row] = field(default_factory=list)
    replies: int = 0
    tagged: int = 0
    well_formed: int = 0
    language_match: int = 0
    ended: int = 0

    def table(self) -> str:
        """Write the figures as Markdown."""
        lines = [
            "| question | language | turns between | correct | share |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {row.title} | {row.language} | {row.distance} | {row.correct}/{row.total} | "
            f"{row.correct / max(1, row.total):.1%} |"
            for row in self.rows
        ]
        lines += ["", "| form of all replies | count | share |", "|---|---|---|"]
        for title, count in (
            ("begins with a valid tag", self.tagged),
            ("no malformed tag anywhere", self.well_formed),
            ("answers in the user's language", self.language_match),
            ("ends by itself within 96 tokens", self.ended),
        ):
            lines.append(
                f"| {title} | {count}/{self.replies} | {count / max(1, self.replies):.1%} |"
            )
        return "\n".join(lines)


def _fact_case(rng: random.Random, language: str, distance: int, kinds: Sequence[str]) -> Case:
    simulation = Simulation(rng, language=language, persona_language=language, held_out=True)
    kind = rng.choice(kinds)
    simulation.turn(lambda state: intents.tell_fact(state, kind), may_ask=False)
    for _ in range(distance):
        simulation.calm_turn()
    turn = simulation.turn(lambda state: intents.recall_fact(state, kind), may_ask=False)
    return Case(_sometimes_clean(simulation.dialogue(expected=turn.expected), rng))


def _persona_case(rng: random.Random, language: str, distance: int, *, prompt: str) -> Case:
    """Ask about the persona; ``prompt`` is ``same``, ``other`` (language) or ``shipped``."""
    while True:
        other = "ja" if language == "en" else "en"
        shipped = rng.choice(shipped_characters()) if prompt == "shipped" else None
        simulation = Simulation(
            rng,
            language=language,
            persona_language=other if prompt == "other" else language,
            shipped=shipped,
            held_out=prompt == "same",
        )
        for _ in range(distance):
            simulation.calm_turn()
        kind = rng.choice(_ASKED)
        turn = simulation.turn(partial(intents.ask_persona, kind=kind), may_ask=False)
        if turn.expected:
            return Case(_sometimes_clean(simulation.dialogue(expected=turn.expected), rng))


def _taste_case(rng: random.Random, language: str, distance: int, *, denied: bool) -> Case:
    """Ask a new persona whether it likes something that its prompt says it likes or dislikes."""
    while True:
        simulation = Simulation(rng, language=language, persona_language=language, held_out=True)
        persona = simulation.state.persona
        terms = persona.dislikes if denied else persona.likes
        if not terms:
            continue
        for _ in range(distance):
            simulation.calm_turn()
        key, term = "like_no" if denied else "like_yes", rng.choice(terms)
        simulation.turn(partial(intents.ask_whether, key=key, term=term), may_ask=False)
        return Case(_sometimes_clean(simulation.dialogue(), rng), denied=denied)


def _unknown_case(rng: random.Random, language: str, distance: int) -> Case:
    simulation = Simulation(rng, language=language, persona_language=language, held_out=True)
    for _ in range(distance):
        simulation.calm_turn()
    kind = rng.choice(("name", "name", *_RECALLED))
    simulation.turn(lambda state: intents.recall_fact(state, kind), may_ask=False)
    return Case(simulation.dialogue(), admit=True)


def _sometimes_clean(dialogue: Dialogue, rng: random.Random) -> Dialogue:
    """Strip the tags from the history of one dialogue in three."""
    if rng.random() > 1 / 3:
        return dialogue
    messages = tuple(
        Message(m.role, strip_tags(m.content)) if m.role == "assistant" else m
        for m in dialogue.messages
    )
    return Dialogue(messages, dialogue.expected, dialogue.language)


def evaluate(
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    *,
    samples: int,
    distances: Sequence[int] = DISTANCES,
) -> Evaluation:
    """Ask every kind of question ``samples`` times, decode greedily and count."""
    result = Evaluation()
    makers: list[tuple[str, Callable[[random.Random, str, int], Case], Sequence[int]]] = [
        ("user's name", lambda rng, lang, far: _fact_case(rng, lang, far, ("name",)), distances),
        (
            "other fact about the user",
            lambda rng, lang, far: _fact_case(rng, lang, far, _RECALLED),
            distances,
        ),
        (
            "fact of a new persona",
            lambda rng, lang, far: _persona_case(rng, lang, far, prompt="same"),
            distances[:3],
        ),
        (
            "same, prompt in the other language",
            lambda rng, lang, far: _persona_case(rng, lang, far, prompt="other"),
            distances[:1],
        ),
        (
            "fact of a shipped character",
            lambda rng, lang, far: _persona_case(rng, lang, far, prompt="shipped"),
            distances[:1],
        ),
        ("fact never told (admits it)", _unknown_case, distances[1:2] or distances),
        ("do you like what you like", partial(_taste_case, denied=False), distances[:1]),
        ("do you like what you dislike", partial(_taste_case, denied=True), distances[:1]),
    ]
    for title, maker, places in makers:
        for language in ("en", "ja"):
            for distance in places:
                rng = random.Random(f"{_SEED}:{title}:{language}:{distance}")
                cases = [maker(rng, language, distance) for _ in range(samples)]
                row = Row(title, language, str(distance))
                _score(
                    row,
                    result,
                    cases,
                    complete(model, tokenizer, [case.dialogue for case in cases]),
                )
                result.rows.append(row)
    return result


def _score(row: Row, result: Evaluation, cases: Sequence[Case], replies: Sequence[str]) -> None:
    for case, reply in zip(cases, replies, strict=True):
        ended = reply.endswith(END)
        text = reply.removesuffix(END)
        spoken = strip_tags(text).lower()
        if case.admit:
            correct = bool(_ADMITS.search(spoken)) or spoken.endswith(("?", "？"))
        elif case.denied is not None:
            denied = bool(_DENIES.search(spoken))
            correct = denied if case.denied else bool(_AFFIRMS.search(spoken)) and not denied
        else:
            correct = all(value.lower() in spoken for value in case.dialogue.expected)
        row.total += 1
        row.correct += correct
        result.replies += 1
        result.tagged += text.startswith(tuple(_VALID_TAGS))
        result.well_formed += all(found in _VALID_TAGS for found in _BRACKETS.findall(text))
        result.language_match += matches_language(spoken, case.dialogue)
        result.ended += ended


def matches_language(text: str, dialogue: Dialogue) -> bool:
    """Tell whether a reply is in the user's language, whatever the names that it quotes."""
    for value in dialogue.expected:
        text = text.replace(value.lower(), "")
    japanese = len(_JAPANESE.findall(text))
    return japanese > 0 if dialogue.language == "ja" else japanese <= len(text) // 4


def complete(
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    dialogues: Sequence[Dialogue],
    *,
    max_new_tokens: int = 96,
) -> list[str]:
    """Write the last reply of every dialogue greedily; an end mark that was produced is kept."""
    replies: list[str] = []
    untyped: Any = model  # transformers' own annotation of generate() does not bind
    end, pad = tokenizer.token_to_id(END), tokenizer.token_to_id(PAD)
    for start in range(0, len(dialogues), _BATCH):
        prompts = [
            tokenizer.encode(render_prompt(item)).ids for item in dialogues[start : start + _BATCH]
        ]
        width = max(len(ids) for ids in prompts)
        ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        with torch.inference_mode():
            output = untyped.generate(
                input_ids=ids,
                attention_mask=mask,
                do_sample=False,
                max_new_tokens=max_new_tokens,
                eos_token_id=end,
                pad_token_id=pad,
            )
        for row in output[:, width:].tolist():
            finished = end in row
            text = tokenizer.decode(row[: row.index(end)] if finished else row)
            replies.append(text + (END if finished else ""))
    return replies


def quick_report(model: LlamaForCausalLM, tokenizer: Tokenizer) -> str:
    """Return a few figures in one line, for a look while training runs."""
    result = evaluate(model, tokenizer, samples=8, distances=(2,))
    parts = [f"{row.title} {row.language} {row.correct}/{row.total}" for row in result.rows]
    return ", ".join(parts) + f", tags {result.tagged}/{result.replies}"
