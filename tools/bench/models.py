"""Checkpoints with random weights, for measuring speed where the words do not matter."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

VOCAB_SIZE = 32_000

SIZES: dict[str, dict[str, Any]] = {
    "s": {
        "hidden_size": 512,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 64,
        "intermediate_size": 1536,
    },
    "m100": {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "num_key_value_heads": 4,
        "head_dim": 64,
        "intermediate_size": 2048,
    },
    "m": {
        "hidden_size": 1024,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 3072,
    },
}


TOKENIZER = Path("configs/models/kaiwa-demo")
"""Whose tokenizer they get, its vocabulary padded to ``VOCAB_SIZE``."""


def find_or_make(model: str) -> str:
    """Return a checkpoint's folder: the one named, or the one of a size, made at its first use."""
    if model not in SIZES:
        return model
    folder = Path("build") / f"bench-{model}"
    if not (folder / "config.json").is_file():
        make(folder, model)
    return str(folder)


def make(folder: Path, size: str, *, seed: int = 0, tokenizer: Path = TOKENIZER) -> None:
    """Write a checkpoint shaped like Qwen3, in bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen3Config

    torch.manual_seed(seed)
    config = Qwen3Config(
        **SIZES[size],
        vocab_size=VOCAB_SIZE,
        tie_word_embeddings=True,
        max_position_embeddings=4096,
        eos_token_id=None,
        bos_token_id=None,
    )
    build: Any = AutoModelForCausalLM.from_config
    build(config, dtype=torch.bfloat16).save_pretrained(str(folder))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (tokenizer / name).is_file():
            shutil.copy(tokenizer / name, folder / name)
    name_every_token(folder / "tokenizer.json")


def name_every_token(path: Path) -> None:
    """Give each id beyond the tokenizer's vocabulary a word, so that every token is some text."""
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    known = 1 + max(vocabulary.values())
    vocabulary.update({f"Ġw{token_id}": token_id for token_id in range(known, VOCAB_SIZE)})
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")


def main() -> None:
    """Write the checkpoint that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write it")
    parser.add_argument(
        "--size", choices=SIZES, default="s", help="s: 42M parameters, m100: 100M, m: 474M"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tokenizer", type=Path, default=TOKENIZER, help="(%(default)s)")
    options = parser.parse_args()
    make(options.folder, options.size, seed=options.seed, tokenizer=options.tokenizer)


if __name__ == "__main__":
    main()
