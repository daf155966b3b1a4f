"""Make a checkpoint with random weights, for measuring speed where the words do not matter."""

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


def main() -> None:
    """Write the checkpoint that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write it")
    parser.add_argument(
        "--size", choices=SIZES, default="s", help="s: 42M parameters, m100: 100M, m: 474M"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--tokenizer",
        type=Path,
        default=Path("configs/models/kaiwa-demo"),
        help="folder whose tokenizer is copied; its vocabulary is padded to 32,000",
    )
    options = parser.parse_args()
    import torch
    from transformers import AutoModelForCausalLM, Qwen3Config

    torch.manual_seed(options.seed)
    config = Qwen3Config(
        **SIZES[options.size],
        vocab_size=VOCAB_SIZE,
        tie_word_embeddings=True,
        max_position_embeddings=4096,
        eos_token_id=None,
        bos_token_id=None,
    )
    build: Any = AutoModelForCausalLM.from_config
    build(config, dtype=torch.bfloat16).save_pretrained(str(options.folder))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (options.tokenizer / name).is_file():
            shutil.copy(options.tokenizer / name, options.folder / name)
    name_every_token(options.folder / "tokenizer.json")


def name_every_token(path: Path) -> None:
    """Give each id beyond the tokenizer's vocabulary a word, so that every token is some text."""
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    known = 1 + max(vocabulary.values())
    vocabulary.update({f"Ġw{token_id}": token_id for token_id in range(known, VOCAB_SIZE)})
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
