"""gpt-fast: torch.compile alone, one stream, Llama's structure; run where it can be imported.

Its weights are as large as the workload's model's and random too, but they are its own: what it
reads is another format.
"""

from __future__ import annotations

import importlib
import json
import sys
import types
from pathlib import Path
from typing import Any

import torch

from tools.bench.timing import Figures, Timings
from tools.bench.workload import Workload


def measure(workload: Workload) -> list[Figures]:
    """Return figures for one stream.

    Raises:
        ValueError: More than one was asked for.
    """
    if workload.streams != (1,):
        raise ValueError(f"gpt-fast decodes one stream, not {workload.streams}")
    no_tokenizer: Any = types.ModuleType("tokenizer")  # it imports two libraries for one
    no_tokenizer.get_tokenizer = None
    sys.modules["tokenizer"] = no_tokenizer
    rooms: Any = importlib.import_module("model")
    maker: Any = importlib.import_module("generate")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = _model(rooms, workload, device)
    maker.decode_one_token = torch.compile(
        maker.decode_one_token, mode="reduce-overhead", fullgraph=True
    )
    found = []
    for number, streams in workload.passes():
        timings = Timings()
        prompts = workload.prompts(number, streams, model.config.vocab_size)
        for index, prompt in enumerate(prompts):
            tokens = torch.tensor(prompt, dtype=torch.int, device=device)
            timings.ask(index)
            with torch.inference_mode():
                maker.generate(
                    model,
                    tokens,
                    workload.output_tokens,
                    batch_size=1,
                    interactive=False,
                    draft_model=None,
                    temperature=0.8,
                    top_k=200,
                )
            if device == "cuda":
                torch.cuda.synchronize()
            timings.take(index, workload.output_tokens)
        found.append(timings.figures())
    return found[1:]


def _model(rooms: Any, workload: Workload, device: str) -> Any:
    config = json.loads((Path(workload.model) / "config.json").read_text(encoding="utf-8"))
    sizes = rooms.ModelArgs(
        block_size=2 * (workload.prompt_tokens + workload.output_tokens),
        vocab_size=config["vocab_size"],
        n_layer=config["num_hidden_layers"],
        n_head=config["num_attention_heads"],
        n_local_heads=config["num_key_value_heads"],
        dim=config["hidden_size"],
        intermediate_size=config["intermediate_size"],
    )
    with torch.device(device):
        return rooms.Transformer(sizes).to(getattr(torch, workload.dtype)).eval()
