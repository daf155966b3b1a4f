"""What the demo character model is shown in training, in which order, at which rate."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise

import torch
from tokenizers import Tokenizer

from tools.demo_dialogues.drills import drill
from tools.demo_dialogues.generator import Dialogue, dialogue
from tools.demo_dialogues.practice import practice
from tools.demo_dialogues.tokenizer import Example, encode_dialogue

_POOL = 384
"""Dialogues that are sorted by length together, so that a batch wastes little padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """What decides the weights, besides the machine's arithmetic."""

    seed: int = 20260
    steps: int = 2750
    workers: int = 2
    """Processes of one thread that each compute the gradient of their own batch."""
    batch_tokens: int = 3072
    """Tokens of one worker in one step, padding included."""
    max_tokens: int = 1024
    """Longer dialogues are cut at the end."""
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    schedule: tuple[tuple[int, float], ...] = (
        (-1, 0.0),
        (39, 1.0),
        (1000, 1.0),
        (1239, 1 / 240),
        (1240, 0.6),
        (1500, 0.0),
        (1530, 0.45),
        (1900, 0.45),
        (2100, 0.36),
        (2750, 0.0),
    )
    """Knots of a broken line: step, and the share of the learning rate there."""
    short_steps: int = 200
    """First steps, whose dialogues are short, so that copying is learned early."""
    drill_windows: tuple[tuple[int, int], ...] = ((300, 500), (600, 720), (900, 1060), (1200, 1380))
    """Steps between which drills, dialogues dense in words to be copied, are many."""
    plant_at: int = 600
    """Step at which the copying heads are planted."""
    practice_at: int = 1500
    """Step from which dialogues about what the model still gets wrong are many."""


def learning_share(step: int, schedule: Sequence[Sequence[float]]) -> float:
    """Return the share of the learning rate at a step, from the knots of a broken line."""
    for (start, low), (end, high) in pairwise(schedule):
        if step <= end:
            return low + (high - low) * (step - start) / (end - start)
    return 0.0


def plain_schedule(steps: int) -> tuple[tuple[int, float], ...]:
    """Return a schedule for another number of steps: a short rise, then a fall from four fifths."""
    return ((-1, 0.0), (39, 1.0), (max(40, steps * 4 // 5), 1.0), (max(41, steps), 0.0))


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded ids ``[B, T]`` and the mask of targets ``[B, T]``."""

    ids: torch.Tensor
    learn: torch.Tensor
    tokens: int
    """Tokens that are not padding."""


def batches(tokenizer: Tokenizer, config: TrainingConfig, step: int = 0) -> Iterator[Batch]:
    """Yield batches for ever, from ``step`` on.

    The stream begins anew where practice does, so that a run which is resumed after that step
    need not make all that came before.
    """
    practised = step >= config.practice_at
    rng = random.Random(f"practice:{config.seed}" if practised else config.seed)
    skip = (step - config.practice_at * practised) * config.workers
    return islice(_stream(tokenizer, config, rng, practised=practised), skip, None)


def _stream(
    tokenizer: Tokenizer, config: TrainingConfig, rng: random.Random, *, practised: bool
) -> Iterator[Batch]:
    made = 0
    while True:
        step = made // config.workers
        make = _practised if practised else partial(_taught, step=step, config=config)
        pool = [encode_dialogue(make(rng), tokenizer) for _ in range(_POOL)]
        pool.sort(key=lambda example: len(example.ids))
        groups: list[list[Example]] = [[]]
        for example in pool:
            width = min(len(example.ids), config.max_tokens)
            if groups[-1] and width * (len(groups[-1]) + 1) > config.batch_tokens:
                groups.append([])
            groups[-1].append(example)
        rng.shuffle(groups)
        for group in groups:
            made += 1
            yield _collate(group, config.max_tokens)


def _taught(rng: random.Random, step: int, config: TrainingConfig) -> Dialogue:
    """Write a dialogue of the first stream: short ones only while the curriculum says so."""
    share = _drill_share(step, config)
    if share and rng.random() < share:
        return drill(rng)
    return dialogue(rng, longest=3 if step < config.short_steps else 20)


def _practised(rng: random.Random) -> Dialogue:
    """Write a dialogue of the second stream."""
    kind = rng.random()
    return practice(rng) if kind < 0.55 else drill(rng) if kind < 0.65 else dialogue(rng)


def _drill_share(step: int, config: TrainingConfig) -> float:
    if step < config.drill_windows[0][0]:
        return 0.0
    return 0.6 if any(start <= step < end for start, end in config.drill_windows) else 0.15


def planting_sample(tokenizer: Tokenizer, seed: int) -> torch.Tensor:
    """Return ids ``[B, T]`` of drills and dialogues, without padding."""
    rng = random.Random(f"planting:{seed}")
    made = (
        encode_dialogue(drill(rng) if number % 2 else dialogue(rng), tokenizer).ids
        for number in range(96)
    )
    return torch.tensor([ids[:250] for ids in made if len(ids) >= 250][:16])


def _collate(group: list[Example], max_tokens: int) -> Batch:
    width = min(max(len(example.ids) for example in group), max_tokens)
    ids = torch.zeros(len(group), width, dtype=torch.long)
    learn = torch.zeros(len(group), width, dtype=torch.bool)
    for row, example in enumerate(group):
        size = min(len(example.ids), width)
        ids[row, :size] = torch.tensor(example.ids[:size])
        learn[row, :size] = torch.tensor(example.learn[:size])
    return Batch(ids, learn, sum(min(len(example.ids), width) for example in group))
