"""Checkpoints with random weights, for measuring speed where the words do not matter."""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
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
"""Whose tokenizer they get, its vocabulary padded to the model's."""

CONTEXT = 4096
"""Tokens, unless somebody needs more."""

_SHARD_BYTES = 4 * 10**9


def find_or_make(model: str, *, context: int = CONTEXT) -> str:
    """Return a checkpoint's folder: the one named, or the one of a size, made at its first use."""
    if model not in SIZES:
        return model
    folder = Path("build") / (
        f"bench-{model}" if context == CONTEXT else f"bench-{model}-{context}"
    )
    if not (folder / "config.json").is_file():
        make(folder, model, context=context)
    return str(folder)


def make(
    folder: Path,
    size: str,
    *,
    seed: int = 0,
    tokenizer: Path = TOKENIZER,
    context: int = CONTEXT,
) -> None:
    """Write a checkpoint shaped like Qwen3, in bfloat16."""
    from transformers import Qwen3Config

    config = Qwen3Config(
        **SIZES[size],
        vocab_size=VOCAB_SIZE,
        tie_word_embeddings=True,
        max_position_embeddings=context,
        eos_token_id=None,
        bos_token_id=None,
    )
    write(folder, config, seed=seed, tokenizer=tokenizer)


def write(
    folder: Path, config: Any, *, seed: int = 0, tokenizer: Path = TOKENIZER, device: str = "cpu"
) -> None:
    """Write a checkpoint of random weights in bfloat16, with a tokenizer that knows every token.

    Args:
        folder: Where to; made if need be.
        config: transformers' configuration of the model.
        seed: Of the weights.
        tokenizer: Folder of the one whose vocabulary is padded.
        device: Where the numbers are drawn; a GPU takes seconds for what takes a core minutes.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    build: Any = AutoModelForCausalLM.from_config
    with torch.device("meta"):
        model = build(config, dtype=torch.bfloat16)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if config.tie_word_embeddings:
        shapes.pop("lm_head.weight", None)
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator(device).manual_seed(seed)
    places: dict[str, str] = {}
    for number, names in enumerate(_shards(shapes)):
        shard = {}
        for name in names:
            tensor = torch.empty(shapes[name], dtype=torch.bfloat16, device=device)
            if tensor.dim() > 1:
                tensor.normal_(std=0.02, generator=generator)
            else:
                tensor.fill_(0.0 if name.endswith("bias") else 1.0)
            shard[name] = tensor.cpu()
        file = f"model-{number:05}.safetensors"
        save_file(shard, str(folder / file), metadata={"format": "pt"})
        places.update(dict.fromkeys(names, file))
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (tokenizer / file).is_file():
            shutil.copy(tokenizer / file, folder / file)
    name_every_token(folder / "tokenizer.json", config.vocab_size)
    config.architectures, config.dtype = [type(model).__name__], "bfloat16"
    config.save_pretrained(str(folder))  # last: a folder that has it is whole


def _shards(shapes: Mapping[str, Sequence[int]]) -> Iterator[list[str]]:
    """Cut the weights into files that need not be held in memory together."""
    names: list[str] = []
    size = 0
    for name, shape in shapes.items():
        names.append(name)
        size += 2 * math.prod(shape)
        if size > _SHARD_BYTES:
            yield names
            names, size = [], 0
    if names:
        yield names


def name_every_token(path: Path, vocab_size: int) -> None:
    """Give each id beyond the tokenizer's vocabulary a word, so that every token is some text."""
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    known = 1 + max(vocabulary.values())
    vocabulary.update({f"Ġw{token_id}": token_id for token_id in range(known, vocab_size)})
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
