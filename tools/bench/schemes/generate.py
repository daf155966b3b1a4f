"""transformers' own ``generate()``: one reply, or a padded batch of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM

from tools.bench.schemes.plan import Ask, Plan

_PAD = 0
_TRIAL = Ask(0.0, (0, 1, 2, 3), 2)


def load(plan: Plan) -> Any:
    """Return an instance in eval mode, which no end token stops."""
    quieten: Any = transformers.utils.logging.disable_progress_bar
    quieten()
    read: Any = AutoModelForCausalLM.from_pretrained
    model = read(plan.model, dtype=getattr(torch, plan.dtype)).eval()
    model.generation_config.eos_token_id = None
    return model


def load_libraries() -> None:
    """Generate with a model of nearly nothing, so that code loaded at first use is there."""
    config = transformers.Qwen3Config(
        vocab_size=2 * len(_TRIAL.prompt),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        intermediate_size=16,
        eos_token_id=None,
        bos_token_id=None,
    )
    build: Any = AutoModelForCausalLM.from_config
    generate(build(config).eval(), [_TRIAL])


def generate(model: Any, asks: Sequence[Ask]) -> list[int]:
    """Generate replies in one batch, padded on the left; returns how many tokens each has.

    The batch goes on until its longest reply has ended; the shorter ones are cut.
    """
    longest = max(len(ask.prompt) for ask in asks)
    ids = torch.full((len(asks), longest), _PAD)
    mask = torch.zeros_like(ids)
    for row, ask in enumerate(asks):
        ids[row, longest - len(ask.prompt) :] = torch.tensor(ask.prompt)
        mask[row, longest - len(ask.prompt) :] = 1
    with torch.inference_mode():  # holds for this thread alone
        found = model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=max(ask.output_tokens for ask in asks),
            do_sample=False,
            pad_token_id=_PAD,
        )
    made = int(found.shape[1]) - longest
    return [min(made, ask.output_tokens) for ask in asks]
