"""Set a few attention heads to the pattern that copies words, which small data finds too late.

Two heads in a row can copy (an "induction" pair): the first writes into each position what stood
before it; the second looks for positions before which the present word stood, and brings the word
that stands there. Training from random weights finds the pair only after many more tokens than
this model sees, so it is planted once and trained on from there.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaForCausalLM

_CONSTANT = 0.6
"""Value of the constant component of every embedding."""
_FOCUS = 14.0
"""How sharply the first head looks at the position before."""
_MATCH = 18.0
"""How sharply the second head looks at matching positions."""
_GAIN = 2.0
"""How strongly the second head writes the word it found."""
_WRITE = 3.0
"""How strongly the first head writes, in standard deviations of an embedding's component."""
_CODE = 28
_SLOW_PAIRS = 7
"""Rotary pairs that turn slowly enough to compare words across a whole dialogue."""


@torch.no_grad()
def plant_copying(model: LlamaForCausalLM, ids: torch.Tensor) -> None:
    """Replace a key-value group in layer 0 and two in layer 1; the other heads stay as they are.

    Args:
        model: The model; it is changed.
        ids: A batch of real dialogues ``[B, T]``, on which the second head is fitted.
    """
    config: Any = model.config
    head, group = int(config.head_dim), config.num_attention_heads // config.num_key_value_heads
    half = head // 2
    embedding = model.model.embed_tokens.weight
    # A constant column shifts all logits alike, so it changes nothing but what is planted here.
    embedding[:, 0] = _CONSTANT
    used = embedding[torch.tensor(sorted(set(ids.flatten().tolist())))]
    centre = used.mean(0)
    _, spread, axes = torch.linalg.svd(used - centre, full_matrices=False)
    spread = spread / len(used) ** 0.5
    identity, quiet = axes[1 : _CODE + 1], axes[-_CODE - 1 : -1]
    typical = float(spread[1:-1].mean())
    first, second = model.model.layers[0], model.model.layers[1]

    # Layer 0, group 0: a query that sees the key one position before, whatever the words are.
    angles = 10000.0 ** (-torch.arange(half) / half)
    normal = _normal(embedding[ids])  # [B, T, hidden]
    size = (_FOCUS * head**0.5) ** 0.5 / float(normal[..., 0].mean())
    query, key = torch.zeros(head, embedding.shape[1]), torch.zeros(head, embedding.shape[1])
    for pair in range(4):
        query[pair, 0] = size
        key[pair, 0] = size * torch.cos(angles[pair])
        key[pair + half, 0] = size * torch.sin(angles[pair])
    code = normal @ identity.T
    read = identity / code.std(dim=(0, 1))[:, None]
    norm, attention = first.input_layernorm.weight, first.self_attn
    for index in range(group):
        columns = slice(index * head, (index + 1) * head)
        attention.q_proj.weight[columns] = query / norm
        attention.o_proj.weight[:, columns] = 0.0
    attention.k_proj.weight[:head] = key / norm
    attention.v_proj.weight[:head] = 0.0
    attention.v_proj.weight[:_CODE] = read / norm
    attention.o_proj.weight[:, :_CODE] = quiet.T * typical * _WRITE

    # Layer 1, groups 0 and 1: compare the present word with the word before each position.
    states = model.model(input_ids=ids, output_hidden_states=True).hidden_states
    present = _normal(states[1])[:, 1:].reshape(-1, embedding.shape[1])
    code = (code - code.mean(dim=(0, 1))) / code.std(dim=(0, 1))
    of_present = _fit(present, code[:, 1:].reshape(-1, _CODE))
    of_previous = _fit(present, code[:, :-1].reshape(-1, _CODE))
    norm, attention = second.input_layernorm.weight, second.self_attn
    dims = [*range(half - _SLOW_PAIRS, half), *range(head - _SLOW_PAIRS, head)]
    sharp = (_MATCH * head**0.5 / len(dims)) ** 0.5
    for number in range(2):
        codes = [number * len(dims) + i for i in range(len(dims))]
        query, key = torch.zeros(head, embedding.shape[1]), torch.zeros(head, embedding.shape[1])
        query[dims], key[dims] = sharp * of_present[codes], sharp * of_previous[codes]
        rows = slice(number * head, (number + 1) * head)
        found = axes[1 + number * head : 1 + (number + 1) * head]
        attention.k_proj.weight[rows] = key / norm
        attention.v_proj.weight[rows] = found / norm
        for index in range(number * group, (number + 1) * group):
            columns = slice(index * head, (index + 1) * head)
            attention.q_proj.weight[columns] = query / norm
            attention.o_proj.weight[:, columns] = found.T * typical * _GAIN / group


def _normal(states: torch.Tensor) -> torch.Tensor:
    return states / states.pow(2).mean(-1, keepdim=True).sqrt()


def _fit(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the matrix ``[targets, inputs]`` of a ridge regression."""
    gram = inputs.T @ inputs
    gram += torch.eye(len(gram)) * gram.trace() / len(gram) * 1e-2
    solution: torch.Tensor = torch.linalg.solve(gram, inputs.T @ targets)
    return solution.T
