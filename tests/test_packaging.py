"""What is installed is this checkout, and importing a part brings in no more than it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import clients
import engine
import server

ROOT = Path(__file__).resolve().parent.parent


def test_the_packages_are_those_of_this_checkout() -> None:
    """Another distribution with a top-level ``server`` would win over an editable install."""
    for package in (server, engine, clients):
        assert Path(package.__file__ or "").is_relative_to(ROOT)


def test_no_package_re_exports() -> None:
    """``__init__.py`` is one docstring; a face that re-exports would drag torch everywhere."""
    for file in ROOT.glob("[sect]*/**/__init__.py"):
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        assert len(lines) <= 1, file


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", ["server.app", "server.session.session", "clients.terminal", "engine.async_engine"]
)
def test_the_processes_with_sockets_never_import_torch(module: str) -> None:
    """Tensor work beside an event loop would stall every session."""
    program = (
        f"import sys, {module}; "
        "heavy = [n for n in ('torch', 'transformers') if n in sys.modules]; "
        "sys.exit(' '.join(heavy) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
