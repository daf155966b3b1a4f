"""The model that is to be judged: out of a checkpoint's folder, or made by somebody's callable."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.errors import ConfigError, ModelError, ModelNotFound, UnsupportedModel
from engine.model.loader import cpu_has_bfloat16
from engine.parallel_safety.contents import tensors_in
from engine.parallel_safety.inputs import make_inputs

_FACTORY = re.compile(r"^[^\W\d]\w*(\.\w+)*:[^\W\d]\w*(\.\w+)*$")


def find_subject(name: str) -> tuple[nn.Module, list[Any]]:
    """Return a model and inputs to try it with.

    Args:
        name: A folder with ``config.json`` and safetensors, or ``module:callable``. The module is
            imported and the callable called without arguments, which returns a torch module, or
            one and a list of inputs.

    Raises:
        ModelError: There is none, or it cannot be read.
        ConfigError: The callable gives no model, or nothing tells what the model takes.
    """
    if Path(name).is_dir():
        model = _load(Path(name))
        return model, make_inputs(model)
    if _FACTORY.match(name):
        return _make(name)
    raise ModelNotFound(
        f"{name!r} is neither a folder nor module:callable; name a checkpoint's folder, or what "
        "makes your model"
    )


def _load(folder: Path) -> nn.Module:
    """Load a checkpoint with transformers' own classes; no code and no pickle out of the folder."""
    import transformers

    if not (folder / "config.json").is_file():
        raise ModelNotFound(f"{folder} has no config.json; name a checkpoint's folder")
    if not any(folder.glob("*.safetensors")):
        raise UnsupportedModel(
            f"{folder} has no safetensors, and other weights are not read because reading them can "
            "run code; convert it, or name a callable that makes the model"
        )
    quieten: Any = transformers.utils.logging.disable_progress_bar
    quieten()
    try:
        read_config: Any = transformers.AutoConfig.from_pretrained
        config = read_config(folder, trust_remote_code=False, local_files_only=True)
        names = [*(config.architectures or []), "AutoModel"]
        kinds = [getattr(transformers, name, None) for name in names]
        kind: Any = next(one for one in kinds if one is not None)
        model = kind.from_pretrained(
            folder,
            dtype="auto" if cpu_has_bfloat16() else torch.float32,  # as it would be served here
            trust_remote_code=False,
            local_files_only=True,
            use_safetensors=True,
        )
    except Exception as error:  # transformers raises of every kind
        raise ModelError(f"{folder} cannot be loaded: {str(error)[:500]}") from error
    assert isinstance(model, nn.Module)
    return model


def _make(name: str) -> tuple[nn.Module, list[Any]]:
    module_name, _, path = name.partition(":")
    try:
        factory: Any = importlib.import_module(module_name)
        for part in path.split("."):
            factory = getattr(factory, part)
    except (ImportError, AttributeError) as error:
        raise ModelNotFound(f"{name} cannot be imported: {error}") from error
    except (Exception, SystemExit) as error:  # whatever stands in it: a script may even exit
        raise ModelNotFound(
            f"{name} cannot be imported: {module_name} raised {type(error).__name__}: "
            f"{str(error)[:500]}"
        ) from error
    try:
        made = factory()
    except (Exception, SystemExit) as error:
        raise ModelError(f"{name}() raised {type(error).__name__}: {str(error)[:500]}") from error
    if isinstance(made, nn.Module):
        return made, make_inputs(made)
    if isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], nn.Module):
        model, inputs = made
        if isinstance(inputs, Sequence) and len(inputs) >= 2 and _differ(inputs):
            return model, list(inputs)
        raise ConfigError(f"{name}() must return two or more inputs that differ, in a list")
    raise ConfigError(
        f"{name}() returned {type(made).__name__}; it must return a torch.nn.Module, or one and a "
        "list of inputs"
    )


def _differ(inputs: Sequence[Any]) -> bool:
    """Whether threads that mix inputs up would give other outputs."""
    first, *others = [tensors_in(one) for one in inputs]
    return not first or any(
        len(one) != len(first) or not all(map(torch.equal, one, first)) for one in others
    )
