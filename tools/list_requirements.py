"""Prints what ``pyproject.toml`` needs, one requirement a line; an image installs it first.

``python tools/list_requirements.py EXTRA …`` adds those of extras; torch is left out, because it
comes from an index of its own.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def list_requirements(pyproject: Path, extras: list[str]) -> list[str]:
    """Read the requirements of the project and of its extras.

    Raises:
        KeyError: There is no such extra.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    found: list[str] = list(project["dependencies"])
    for extra in extras:
        found += project["optional-dependencies"][extra]
    return [one for one in found if not one.startswith("torch>")]


if __name__ == "__main__":
    print("\n".join(list_requirements(Path("pyproject.toml"), sys.argv[1:])))
