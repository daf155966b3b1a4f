"""Where others are found: a folder to import from, an interpreter, or this one."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, field
from pathlib import Path
from sys import executable

from tools.gpu.flash3 import FLASH3, write_stand_ins
from tools.gpu.options import Options
from tools.gpu.results import NotHere
from tools.gpu.slim_library import unpacked

MODULES = {"nano-vllm": "nanovllm", "vllm": "vllm"}
"""What they are imported as where they are installed; others are found by their path alone."""


@dataclass(frozen=True, slots=True)
class Place:
    """How one of them is run.

    Attributes:
        python: The interpreter.
        path: Folders to import from.
    """

    python: str = executable
    path: list[str] = field(default_factory=list)


def place_of(name: str, options: Options) -> Place:
    """Return where a peer is.

    Raises:
        NotHere: It is not; the reason says how to bring it along.
    """
    given = options.peers.get(name)
    if given is None:
        module = MODULES.get(name)
        if module is None or importlib.util.find_spec(module) is None:
            raise NotHere(f"{name} is not here; --peer {name}=PATH brings it (docs/gpu.md)")
        return Place(path=flash3_path(options))
    path = Path(given).expanduser().absolute()  # an environment's interpreter is a link: keep it
    if path.is_dir():
        return Place(path=[str(path), *flash3_path(options)])
    if path.is_file() and os.access(path, os.X_OK):
        return Place(python=str(path))
    raise NotHere(f"{given} is neither a folder nor an interpreter")


def flash3_path(options: Options) -> list[str]:
    """Return the folder through which others find FlashAttention-3, if a library is given."""
    library = flash3_library(options)
    if library is None:
        return []
    return [str(write_stand_ins(options.folder / "stand-ins", library))]


def flash3_library(options: Options) -> str | None:
    """Return the library of FlashAttention-3, if one is given; unpacked if it was packed."""
    given = options.peers.get(FLASH3)
    if given is None:
        return None
    return str(unpacked(Path(given).expanduser().resolve(), options.folder / "libraries"))
