"""Which Kaiwa this is."""

from __future__ import annotations

import importlib.metadata


def version() -> str:
    """The installed version, or a word that there is none."""
    try:
        return importlib.metadata.version("kaiwa")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"
