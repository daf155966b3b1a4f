"""What a run is asked for; every part gets it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to measure, and with what.

    Attributes:
        scratch: Folder for checkpoints of tens of gigabytes, in memory where there is enough.
        quick: Fewer sizes.
        tiny: Shapes of a few thousand numbers: shows that every line runs, and measures nothing.
        peers: Where others are, by name: a folder, a library or an interpreter.
    """

    scratch: str
    quick: bool = False
    tiny: bool = False
    peers: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where checkpoints go."""
        return Path(self.scratch)

    def to_json(self) -> str:
        """Return it as text that ``from_json`` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Options:
        """Read what ``to_json`` wrote."""
        return cls(**json.loads(text))
