"""Where the model comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import ConfigError, EngineError, ModelError, ModelNotFound, UnsupportedModel
from engine.parallel_safety.subject import find_subject
from tests.engine.parallel_safety.models import Safe

MODELS = "tests.engine.parallel_safety.models"


def test_a_callable_makes_a_model() -> None:
    """Inputs are made up, or its own."""
    model, inputs = find_subject(f"{MODELS}:Safe")
    assert isinstance(model, Safe)
    assert inputs[0].shape[1] == 4
    assert len(find_subject(f"{MODELS}:normed")[1]) == 2


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("nowhere", ModelNotFound, "neither a folder nor module:callable"),
        ("no.such.module:x", ModelNotFound, "cannot be imported"),
        (f"{MODELS}:nothing", ModelNotFound, "cannot be imported"),
        (f"{MODELS}:broken", ModelError, "OSError: no weights"),
        (f"{MODELS}:no_model", ConfigError, "returned int"),
        (f"{MODELS}:leaving", ModelError, "SystemExit: no such option"),
        (f"{MODELS}:one_input", ConfigError, "two or more inputs"),
        (f"{MODELS}:same_inputs", ConfigError, "two or more inputs that differ"),
        (f"{MODELS}:unknown", ConfigError, "nothing tells"),
    ],
)
def test_what_is_no_model_is_refused(name: str, kind: type[EngineError], told: str) -> None:
    """With the reason."""
    with pytest.raises(kind, match=told):
        find_subject(name)


@pytest.mark.parametrize("text", ["raise ValueError('no licence')", "def f(:", "exit(3)"])
def test_a_module_that_cannot_be_imported_is_named(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it raises, and also where it is a script that ends."""
    name = f"trouble_{len(text)}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelNotFound, match=f"{name}:f cannot be imported: {name} raised"):
        find_subject(f"{name}:f")


def test_a_folder_needs_a_configuration_and_safetensors(tmp_path: Path) -> None:
    """Pickles are not read."""
    with pytest.raises(ModelNotFound, match=r"config\.json"):
        find_subject(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "none"}))
    (tmp_path / "pytest_model.bin").write_bytes(b"")
    with pytest.raises(UnsupportedModel, match="safetensors"):
        find_subject(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="cannot be loaded"):
        find_subject(str(tmp_path))


def test_a_checkpoint_is_loaded_by_its_own_class() -> None:
    """In eval mode, with token ids to try it with."""
    model, inputs = find_subject("configs/models/kaiwa-demo")
    assert type(model).__name__.endswith("ForCausalLM")
    assert not model.training
    assert len({given["input_ids"].shape for given in inputs}) == len(inputs)
