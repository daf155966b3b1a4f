"""A pickle that tells when it is unpacked."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, sprung: str) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path(self.sprung),)  # type: ignore[return-value]
