"""Tiny random checkpoints of every supported family, written to disk as real ones are.

Weights are drawn wide (about ten times transformers' own range), so that the likeliest token leads
by far more than rounding and a greedy reply can be compared token by token. Windows are shorter
than the tests' sequences, key heads are shared, and the families that mix layer types do so here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

VOCAB_SIZE = 400
CONTEXT = 512
EOS = 1
SPECIAL_TOKENS = ["<pad>", "<eos>", "<bos>", "<|user|>", "<|assistant|>", "<|system|>"]
CHAT_TEMPLATE = (
    "{{ '<bos>' }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<eos>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

_TEXT = [
    "The quick brown fox jumps over the lazy dog while the moon is rising over the hills.",
    "Hello there! How are you today? I am fine, thank you, and how are you?",
    "She sells sea shells by the sea shore; the shells she sells are surely sea shells.",
    "Once upon a time there was a small server that kept talking to everybody at once.",
]

_COMMON: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 64,
    "intermediate_size": 112,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": CONTEXT,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": EOS,
}
_MIXED = ["sliding_attention", "full_attention", "sliding_attention"]


@dataclass(frozen=True)
class Family:
    """One model family.

    Attributes:
        name: transformers' ``model_type``.
        settings: What differs from the common configuration; ``None`` leaves a key out.
        window: Its smallest window.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    window: int | None = None


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("llama"),
        Family("qwen2", {"tie_word_embeddings": True}),
        Family("qwen3", {"head_dim": 24}),
        Family("mistral", {"sliding_window": 20}, window=20),
        Family(
            "gemma2",
            {
                "sliding_window": 17,
                "layer_types": _MIXED,
                "query_pre_attn_scalar": 16,
                "attn_logit_softcapping": 5.0,
                "final_logit_softcapping": 10.0,
            },
            window=17,
        ),
        Family(
            "gemma3_text",
            {"sliding_window": 9, "layer_types": _MIXED, "query_pre_attn_scalar": 16},
            window=9,
        ),
        Family("phi3", {"num_key_value_heads": 4, "sliding_window": 33}, window=33),
        Family(
            "granite",
            {
                "embedding_multiplier": 1.5,
                "attention_multiplier": 0.2,
                "residual_multiplier": 0.8,
                "logits_scaling": 0.5,
                "tie_word_embeddings": True,
            },
        ),
        Family("olmo2", {"num_key_value_heads": 1}),
        Family("olmo3", {"sliding_window": 16, "layer_types": _MIXED}, window=16),
        Family("smollm3", {"no_rope_layers": [1, 0, 1], "num_attention_heads": 6}),
    )
}


def make_model(name: str, *, seed: int = 0, **overrides: Any) -> Any:
    """Build the family's tiny model in float32, with weights that depend on the seed alone."""
    settings = {**_COMMON, **FAMILIES[name].settings, **overrides}
    config = AutoConfig.for_model(name, **settings)
    build: Any = AutoModelForCausalLM.from_config
    model = build(config, dtype=torch.float32, attn_implementation="eager")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                # keeps a layer's output about as large as its input
                parameter.copy_(noise * 1.5 * parameter.shape[-1] ** -0.5)
            elif "norm" in key:
                parameter.add_(noise * 0.1)
            else:
                parameter.copy_(noise * 0.3)
        if name.startswith("gemma"):
            # gemma multiplies embeddings by 8 here; were they not small, each token would be
            # followed by itself
            model.get_input_embeddings().weight.mul_(0.05)
            model.base_model.norm.weight.add_(30.0)
    return model.eval().requires_grad_(False)


def save_model(model: Any, folder: Path, *, with_tokenizer: bool = True) -> Path:
    """Write a checkpoint as the hub has them: safetensors, configurations, tokenizer."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model.save_pretrained(str(folder))
    generation = {"eos_token_id": [EOS], "bos_token_id": 2, "pad_token_id": 0}
    (folder / "generation_config.json").write_text(json.dumps(generation), encoding="utf-8")
    if with_tokenizer:
        tokenizer().save_pretrained(str(folder))
    return folder


def make_checkpoint(folder: Path, name: str = "llama", *, seed: int = 0, **overrides: Any) -> Path:
    """Write the family's tiny checkpoint into ``folder`` and return it."""
    return save_model(make_model(name, seed=seed, **overrides), folder)


@cache
def tokenizer() -> Any:
    """A byte-level BPE tokenizer with a chat template; every text round-trips."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - 8,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(_TEXT, trainer)
    wrap: Any = PreTrainedTokenizerFast
    fast = wrap(tokenizer_object=raw, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>")
    fast.chat_template = CHAT_TEMPLATE
    return fast
