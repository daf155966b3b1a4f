"""Settings of who is served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import ConfigError
from server.config.checks import within
from server.config.shipped import DEMO_CHARACTERS

CHARACTER_SUFFIXES = (".toml", ".png", ".apng", ".json", ".charx")
"""What is taken for a character's file in a folder; a file that is named itself may be any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CharactersConfig:
    """Who is served."""

    files: tuple[Path, ...] = ()
    """Character files, or folders of them; when empty, the shipped ones."""
    prompt: str | None = None
    """System prompt of one more character, ``custom``, who then answers by default."""
    lorebooks: tuple[Path, ...] = ()
    """Lorebooks that all of these characters know, beside what their own files say."""
    folder: Path | None = None
    """Where cards are kept that clients send; without it they are forgotten at the end."""
    max_uploaded: int = 64
    """Cards that one API key may have sent; where no key is needed, all together."""
    max_uploaded_bytes: int = 256 * 1024 * 1024
    """Memory that all sent cards may take, estimated."""

    def __post_init__(self) -> None:
        """Refuse negative numbers."""
        within("characters.max_uploaded", self.max_uploaded, 0, 100_000)
        within("characters.max_uploaded_bytes", self.max_uploaded_bytes, 0, 2**40)

    def resolved(self) -> tuple[Path, ...]:
        """The files to load, those of folders by name, the shipped ones when none was named.

        Raises:
            ConfigError: A folder holds none.
        """
        if not self.files:
            return tuple(sorted(DEMO_CHARACTERS.glob("*.toml")))
        return tuple(file for path in self.files for file in _character_files(path))


def _character_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = [file for file in path.iterdir() if file.suffix.lower() in CHARACTER_SUFFIXES]
    if not found:
        raise ConfigError(
            f"the folder {path} holds no character; there may be {', '.join(CHARACTER_SUFFIXES)}",
            param="characters.files",
        )
    return sorted(found)
