"""Compiling the kernels, and doing without."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.config import ModelConfig
from engine.decoder.spec import DecoderSpec
from engine.decoder.surgery import take_apart
from engine.errors import UnsupportedModel
from engine.model import bodies
from engine.model.loader import load_model
from engine.native import build
from engine.native.build import KernelsUnavailable, load_library
from tests.model.driver import random_prompt
from tests.model.test_native_forward import logits_of
from tests.support.tiny_models import make_checkpoint


def fake_compiler(folder: Path, script: str) -> str:
    """Write an executable that stands in for a compiler."""
    path = folder / "g++"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_compiled_library_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second load compiles nothing."""
    load_library()
    compiled: list[object] = []
    monkeypatch.setattr(build, "compile_library", lambda *args: compiled.append(args))
    assert load_library().kaiwa_features()
    assert compiled == []


def test_without_a_compiler_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the way out."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(KernelsUnavailable, match=r"install g\+\+"):
        load_library()


def test_a_compiler_that_fails_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its first complaint is passed on."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", fake_compiler(tmp_path, "echo 'x.cpp: error: no luck' >&2; exit 1"))
    with pytest.raises(KernelsUnavailable, match="no luck"):
        load_library()
    assert list((tmp_path / "cache" / "kaiwa").iterdir()) == []


def test_a_cache_folder_of_somebody_else_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What others may write is never loaded."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    with pytest.raises(KernelsUnavailable, match="somebody else"):
        load_library()


def _no_kernels(on_compile: object) -> None:
    del on_compile
    raise KernelsUnavailable("no C++ compiler was found")


def test_a_model_without_kernels_runs_in_torch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the reason in the log."""
    monkeypatch.setattr(bodies, "load_library", _no_kernels)
    with caplog.at_level("INFO"):
        loaded = load_model(ModelConfig(model=str(make_checkpoint(tmp_path)), device="cpu"))
    assert loaded.forward == "transformers"
    assert "no C++ compiler" in caplog.text


@pytest.mark.parametrize(
    ("asked", "words"),
    [({"quantization": "int8"}, "quantization int8"), ({"deterministic": True}, "deterministic")],
)
def test_what_only_kernels_do_is_refused_without_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: dict[str, Any], words: str
) -> None:
    """Rather than served without it."""
    monkeypatch.setattr(bodies, "load_library", _no_kernels)
    config = ModelConfig(model=str(make_checkpoint(tmp_path)), device="cpu", **asked)
    with pytest.raises(UnsupportedModel, match=f"{words} needs the compiled kernels"):
        load_model(config)


def test_a_structure_understood_wrongly_is_found_and_left_to_transformers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The weights are read once more, and the words are right."""

    def wrongly(*args: Any, **kwargs: Any) -> DecoderSpec:
        return replace(take_apart(*args, **kwargs), residual_scale=0.5)

    folder = make_checkpoint(tmp_path)
    monkeypatch.setattr(bodies, "take_apart", wrongly)
    config = ModelConfig(model=str(folder), device="cpu", dtype="float32")
    with caplog.at_level("INFO"):
        loaded = load_model(config)
    assert loaded.forward == "transformers"
    assert "differs from the untouched model" in caplog.text


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names processors of this family")
@pytest.mark.parametrize("processor", ["x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_processors_without_bf16_and_vnni_compute_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, processor: str
) -> None:
    """Vectors of every width, built for older processors, against those of this one."""
    wrapper = fake_compiler(
        tmp_path,
        f'for a; do shift; [ "$a" = -march=native ] && a=-march={processor}; set -- "$@" "$a"; done'
        f'\nexec {build.find_compiler()} "$@"',
    )
    flags = Path("/proc/cpuinfo").read_text()
    if processor == "x86-64-v4" and "avx512f" not in flags:
        pytest.skip("this processor has no AVX-512")
    folder = make_checkpoint(tmp_path / "model", "qwen3")
    ids = random_prompt(90, seed=1)
    found = []
    for compiler in (None, wrapper):
        if compiler is not None:
            monkeypatch.setenv("CXX", compiler)
            monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        for settings in ({"dtype": "float32"}, {"dtype": "bfloat16"}, {"quantization": "int8"}):
            loaded = load_model(ModelConfig(model=str(folder), device="cpu", **settings))  # type: ignore[arg-type]
            assert loaded.forward == "native"
            found.append(logits_of(loaded.make_forward(8), ids, range(8), [90]))
    assert subprocess.run([wrapper, "--version"], check=False, capture_output=True).returncode == 0
    for here, there, bound in zip(found[:3], found[3:], (1e-4, 0.1, 0.1), strict=True):
        assert float((here - there).square().mean().sqrt() / here.std()) < bound
