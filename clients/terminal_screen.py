"""How the terminal chat looks: colours where there is a terminal, plain text in a pipe."""

from __future__ import annotations

import re
from typing import TextIO

from rich.console import Console
from rich.text import Text

_FACES = {
    "happy": ("(^▽^)", "yellow"),
    "angry": ("(`ヘ´)", "red"),
    "sad": ("(´;ω;`)", "blue"),
    "relaxed": ("(´▽`)", "green"),
    "surprised": ("(°o°)", "magenta"),
    "neutral": ("(・_・)", "cyan"),
}
"""The expression presets of VRM 1.0."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """Drop what could steer the terminal: a model may write escape sequences too."""
    return _CONTROL.sub("", text)


class Screen:
    """Writes to the terminal.

    Args:
        out: Replies and notes go here.
        errors: What went wrong goes here.
        is_terminal: Whether names, faces, figures and colours are shown; a pipe gets the
            replies' words only.
    """

    def __init__(self, out: TextIO, errors: TextIO, *, is_terminal: bool) -> None:
        self.is_terminal = is_terminal
        self._console = Console(
            file=out,
            force_terminal=is_terminal,
            highlight=False,
            soft_wrap=True,
            legacy_windows=False,
        )
        self._errors = errors
        self._colour = "cyan"

    def begin_reply(self, name: str) -> None:
        """Write who speaks."""
        if self.is_terminal:
            self._write(f"{harmless(name)}: ", f"bold {self._colour}")

    def words(self, text: str) -> None:
        """Write a piece of a reply, at once."""
        self._write(harmless(text), "")

    def face(self, expression: str) -> None:
        """Show an expression as an emoticon in its colour."""
        if not self.is_terminal:
            return
        name = harmless(expression)
        emoticon, self._colour = _FACES.get(name, (f"({name})", "cyan"))
        self._write(f"{emoticon} ", self._colour)

    def end_reply(self, *notes: str) -> None:
        """End the line, with figures or remarks dimly behind it."""
        shown = " · ".join(note for note in notes if note)
        if self.is_terminal and shown:
            self._write(f"\n  {shown}", "dim")
        self._write("\n", "")

    def note(self, text: str) -> None:
        """Write something that nobody said; a pipe does not get it."""
        if self.is_terminal:
            self._write(f"{harmless(text)}\n", "dim")

    def news(self, text: str) -> None:
        """Write what the service is going through, on a line of its own; a pipe does not get it."""
        if self.is_terminal:
            self._write(f"\n  {harmless(text)}\n", "dim")

    def listing(self, text: str) -> None:
        """Write the answer to a command."""
        self._write(f"{harmless(text)}\n", "")

    def problem(self, text: str) -> None:
        """Write what went wrong."""
        print(harmless(text), file=self._errors, flush=True)

    def _write(self, text: str, style: str) -> None:
        self._console.print(Text(text, style=style), end="")
        self._console.file.flush()
