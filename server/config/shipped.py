"""What comes with Kaiwa, and is served when nothing else is named."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
"""Where the shipped model, characters and examples lie."""

DEMO_MODEL = REPOSITORY / "configs" / "models" / "kaiwa-demo"
"""Served when no model is named."""

DEMO_CHARACTERS = REPOSITORY / "configs" / "characters"
"""Its ``*.toml`` files are served when no character is named."""
