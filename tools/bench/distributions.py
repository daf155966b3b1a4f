"""Distributions of next tokens over some texts, and how two of them compare."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from engine.attention.metadata import Span
from engine.config import BLOCK_SIZE
from engine.model.forward import Forward

WINDOW = 512
"""Tokens of the longest text."""
_SEED = 20261125


@dataclass(frozen=True, slots=True)
class Quality:
    """How one kind of arithmetic compares with another over some texts.

    Attributes:
        kl_divergence: Mean over tokens, in nats, of the reference from it.
        kl_worst: What 99 of 100 tokens stay below.
        greedy: Share of tokens after which both find the same one likeliest.
        perplexity: Of the texts.
    """

    kl_divergence: float
    kl_worst: float
    greedy: float
    perplexity: float


@dataclass(frozen=True, slots=True)
class Text:
    """What is read.

    Attributes:
        ids: Its tokens.
        counts: Which of them are to be predicted.
    """

    ids: list[int]
    counts: list[bool]


def compare(texts: Sequence[Text], reference: Sequence[Tensor], found: Sequence[Tensor]) -> Quality:
    """Compare logits ``[tokens, vocab]`` of each text where they predict what counts."""
    divergences, alike, losses = [], [], []
    for text, wanted, got in zip(texts, reference, found, strict=True):
        predicts = torch.tensor(text.counts[1:])
        wanted, got = wanted[:-1][predicts], got[:-1][predicts]
        said = torch.tensor(text.ids[1:])[predicts]
        expected, actual = torch.log_softmax(wanted, dim=-1), torch.log_softmax(got, dim=-1)
        divergences.append((expected.exp() * (expected - actual)).sum(dim=-1))
        alike.append((wanted.argmax(dim=-1) == got.argmax(dim=-1)).float())
        losses.append(functional.nll_loss(actual, said, reduction="none"))
    divergence = torch.cat(divergences).clamp_min(0.0)
    return Quality(
        kl_divergence=float(divergence.mean()),
        kl_worst=float(divergence.quantile(0.99)),
        greedy=float(torch.cat(alike).mean()),
        perplexity=float(torch.cat(losses).mean().exp()),
    )


def dialogues(model: Path, count: int, window: int = WINDOW) -> Iterator[Text]:
    """Dialogues from a seed that training never used, as the model's own prompts are written."""
    from tools.demo_dialogues.generator import dialogue
    from tools.demo_dialogues.tokenizer import encode_dialogue

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    rng = random.Random(_SEED)
    for _ in range(count):
        example = encode_dialogue(dialogue(rng), tokenizer)
        yield Text(example.ids[:window], example.learn[:window])


def windows(model: Path, file: Path, count: int, window: int = WINDOW) -> Iterator[Text]:
    """A file's text, cut into windows."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    ids = tokenizer.encode(file.read_text(encoding="utf-8")).ids
    for start in range(0, min(len(ids), count * window), window):
        if len(part := ids[start : start + window]) > 1:
            yield Text(part, [True] * len(part))


def logits_of(forward: Forward, ids: Sequence[int]) -> Tensor:
    """Return ``[tokens, vocab]`` float32 in main memory for one text."""
    table = array("i", range(-(-len(ids) // BLOCK_SIZE)))
    out = forward.run([Span(0, len(ids), table)], ids, range(len(ids)))
    assert out is not None
    return out.values.float().cpu()
