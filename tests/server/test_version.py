"""Which Kaiwa this is."""

from __future__ import annotations

import importlib.metadata

import pytest

from server.version import version


def test_it_is_what_pip_says() -> None:
    """One place holds the number."""
    assert version() == importlib.metadata.version("kaiwa")


def test_a_bare_checkout_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so instead of failing."""

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert version() == "(not installed)"
