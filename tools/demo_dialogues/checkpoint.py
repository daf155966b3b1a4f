"""Saves a training run between steps, as safetensors: nothing in the file is ever executed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file


def save_checkpoint(
    path: Path,
    model: torch.nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    facts: dict[str, float],
) -> None:
    """Write weights, optimizer states and a few numbers; the file is whole or not there."""
    tensors = {f"model.{name}": value.clone() for name, value in model.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                key = f"optimizer.{number}.{index}.{name}"
                tensors[key] = torch.as_tensor(value).clone().contiguous()
    part = path.with_suffix(".part")
    save_file(tensors, str(part), metadata={"facts": json.dumps(facts)})
    part.replace(path)


def load_checkpoint(
    path: Path, model: torch.nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> dict[str, Any]:
    """Put a saved run back into a model and its optimizers; return the numbers saved with it."""
    weights: dict[str, torch.Tensor] = {}
    states: list[dict[int, dict[str, torch.Tensor]]] = [{} for _ in optimizers]
    opener: Any = safe_open
    with opener(str(path), framework="pt") as saved:
        for key in saved.keys():  # noqa: SIM118 - not a mapping
            if key.startswith("model."):
                weights[key.removeprefix("model.")] = saved.get_tensor(key)
            else:
                _, number, index, name = key.split(".", 3)
                states[int(number)].setdefault(int(index), {})[name] = saved.get_tensor(key)
        facts: dict[str, Any] = json.loads(saved.metadata()["facts"])
    model.load_state_dict(weights)
    for optimizer, state in zip(optimizers, states, strict=True):
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    return facts
