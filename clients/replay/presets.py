"""Workloads that need no trace file, each a function of a seed.

Arrivals are at a rate of one session a second unless a preset says otherwise; ``with_load`` makes
them denser. Lengths are drawn from the shapes that chat traces have: most turns short, some long.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from clients.replay.arrivals import bursts, poisson, ramp
from clients.replay.script import SPEECH_START_TOKENS, SPEECH_TOKENS_PER_S, Session, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A workload by name.

    Attributes:
        name: On the command line.
        about: One line of help.
        sessions: How many, when nobody says otherwise.
        make: Returns so many sessions for a seed.
        absolute: Its arrivals are in seconds as published. Otherwise they are one a second, and a
            load of 1 is what saturates the machine.
    """

    name: str
    about: str
    sessions: int
    make: Callable[[int, int], list[Session]]
    absolute: bool = False


def chat(count: int, seed: int) -> list[Session]:
    """Readers of four characters: three turns, thinking in between, one reply in ten cut short."""
    dice = random.Random(seed)
    sessions = []
    for number, start_s in enumerate(poisson(count, 1.0, dice)):
        turns = []
        for _ in range(3):
            reply = _length(dice, 60, 0.6, 4, 400)
            turn = Turn(
                input_tokens=_length(dice, 20, 0.7, 2, 200),
                output_tokens=reply,
                think_s=dice.uniform(1.0, 5.0),
                barge_in_tokens=max(1, reply // 2) if dice.random() < 0.1 else None,
            )
            turns.append(turn)
        sessions.append(_session(f"s{number}", start_s, turns, dice))
    return sessions


def voices(count: int, seed: int) -> list[Session]:
    """The same conversations, heard instead of read."""
    return [
        dataclasses.replace(
            session,
            tokens_per_s=SPEECH_TOKENS_PER_S,
            reserve_tokens=SPEECH_START_TOKENS,
            turns=[dataclasses.replace(turn, after="spoken") for turn in session.turns],
        )
        for session in chat(count, seed)
    ]


def flash_crowds(count: int, seed: int) -> list[Session]:
    """Single questions, 20 of them at once every 20 seconds: a link was shared."""
    dice = random.Random(seed)
    return [
        _session(
            f"s{number}",
            start_s,
            [
                Turn(
                    input_tokens=_length(dice, 40, 0.7, 4, 400),
                    output_tokens=_length(dice, 120, 0.5, 16, 500),
                )
            ],
            dice,
        )
        for number, start_s in enumerate(bursts(count, 20, 20.0, within_s=0.5))
    ]


def rising(count: int, seed: int) -> list[Session]:
    """Single questions whose rate climbs from a tenth to twice the average."""
    dice = random.Random(seed)
    times = ramp(2.0 * count / 2.1, 0.1, 2.0, dice)
    return [
        _session(
            f"s{number}",
            start_s,
            [
                Turn(
                    input_tokens=_length(dice, 40, 0.7, 4, 400),
                    output_tokens=_length(dice, 80, 0.5, 8, 400),
                )
            ],
            dice,
        )
        for number, start_s in enumerate(times)
    ]


def long_prompts(count: int, seed: int) -> list[Session]:
    """Nine short chats to one prompt of thousands of tokens, which makes the others wait."""
    dice = random.Random(seed)
    sessions = []
    for number, start_s in enumerate(poisson(count, 1.0, dice)):
        is_long = number % 10 == 9
        turn = Turn(
            input_tokens=_length(dice, 3000, 0.3, 1500, 6000)
            if is_long
            else _length(dice, 30, 0.6, 4, 200),
            output_tokens=_length(dice, 80, 0.5, 8, 300),
        )
        sessions.append(_session(f"s{number}", start_s, [turn], dice))
    return sessions


def interrupts(count: int, seed: int) -> list[Session]:
    """Single questions, each called off at a random moment: before, in or after its prompt."""
    dice = random.Random(seed)
    return [
        _session(
            f"s{number}",
            start_s,
            [
                Turn(
                    input_tokens=_length(dice, 60, 0.8, 4, 600),
                    output_tokens=2000,
                    barge_in_s=dice.expovariate(2.0),
                )
            ],
            dice,
        )
        for number, start_s in enumerate(poisson(count, 40.0, dice))
    ]


def _tokenflow(
    arrivals: Callable[[int, random.Random], list[float]], prompt: int, reply: int
) -> Callable[[int, int], list[Session]]:
    """Single requests of normally distributed lengths, read at 20 tokens a second."""

    def make(count: int, seed: int) -> list[Session]:
        dice = random.Random(seed)
        sessions = []
        for number, start_s in enumerate(arrivals(count, dice)):
            turn = Turn(
                input_tokens=max(8, round(dice.gauss(prompt, prompt / 4))),
                output_tokens=max(8, round(dice.gauss(reply, reply / 4))),
            )
            session_id = f"s{number}"
            sessions.append(
                Session(session_id=session_id, start_s=start_s, turns=[turn], tokens_per_s=20.0)
            )
        return sessions

    return make


def _session(name: str, start_s: float, turns: list[Turn], dice: random.Random) -> Session:
    persona = min(int(dice.expovariate(0.7)), 3)  # a few characters have most of the listeners
    return Session(
        session_id=name,
        start_s=start_s,
        turns=turns,
        persona=f"persona-{persona}",
        persona_tokens=300 + 50 * persona,
        tenant=f"tenant-{dice.randrange(4)}",
    )


def _length(dice: random.Random, median: float, spread: float, least: int, most: int) -> int:
    return min(most, max(least, round(dice.lognormvariate(math.log(median), spread))))


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(name="chat", about="readers, three turns, Poisson", sessions=2000, make=chat),
        Preset(name="voices", about="the same, heard", sessions=2000, make=voices),
        Preset(
            name="crowds",
            about="20 questions at once, again and again",
            sessions=1000,
            make=flash_crowds,
        ),
        Preset(
            name="rising",
            about="a rate that climbs to twice the average",
            sessions=1000,
            make=rising,
        ),
        Preset(
            name="long-prompts",
            about="one prompt in ten is very long",
            sessions=1000,
            make=long_prompts,
        ),
        Preset(
            name="interrupts",
            about="40 questions a second, each called off after half a second or so",
            sessions=10_000,
            make=interrupts,
            absolute=True,
        ),
        Preset(
            name="tokenflow-a",
            about="TokenFlow's table 1 (a) for the H200: 400 at once, 512 in, 2,048 out",
            sessions=400,
            make=_tokenflow(lambda count, _: [0.0] * count, 512, 2048),
            absolute=True,
        ),
        Preset(
            name="tokenflow-b",
            about="(b): 200 at once, 1,024 in, 4,096 out",
            sessions=200,
            make=_tokenflow(lambda count, _: [0.0] * count, 1024, 4096),
            absolute=True,
        ),
        Preset(
            name="tokenflow-c",
            about="(c): Poisson, 5 a second, 512 in, 2,048 out",
            sessions=300,
            make=_tokenflow(lambda count, dice: poisson(count, 5.0, dice), 512, 2048),
            absolute=True,
        ),
        Preset(
            name="tokenflow-d",
            about="(d): Poisson, 10 a second, 512 in, 2,048 out",
            sessions=300,
            make=_tokenflow(lambda count, dice: poisson(count, 10.0, dice), 512, 2048),
            absolute=True,
        ),
    )
}
