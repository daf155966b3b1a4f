"""Checkpoints and loaded models, made once per session and shared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from engine.config import DType, Kernels, ModelConfig
from engine.model.loader import LoadedModel, load_model
from tests.support.device import DEVICE
from tests.support.tiny_models import make_checkpoint

Load = Callable[..., LoadedModel]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny models gain nothing from more, and spinning workers slow down everything else."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a family's tiny checkpoint."""
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            made[name] = make_checkpoint(tmp_path_factory.mktemp(name), name)
        return made[name]

    return get


@pytest.fixture(scope="session")
def load(checkpoint: Callable[[str], Path]) -> Load:
    """A family's tiny model, loaded for paged attention."""
    loaded: dict[tuple[str, DType, Kernels], LoadedModel] = {}

    def get(name: str, dtype: DType = "float32", kernels: Kernels = "auto") -> LoadedModel:
        key = (name, dtype, kernels)
        if key not in loaded:
            config = ModelConfig(
                model=str(checkpoint(name)), dtype=dtype, device=DEVICE, kernels=kernels
            )
            loaded[key] = load_model(config)
        return loaded[key]

    return get


@pytest.fixture(scope="session")
def untouched(checkpoint: Callable[[str], Path]) -> Callable[[str], Any]:
    """A family's tiny model as transformers runs it."""
    models: dict[str, Any] = {}

    def get(name: str) -> Any:
        if name not in models:
            read: Any = AutoModelForCausalLM.from_pretrained
            models[name] = read(str(checkpoint(name)), dtype=torch.float32)
        return models[name]

    return get
