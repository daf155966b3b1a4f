"""``kaiwa chat``: talk to a character in a terminal, or through a pipe, line by line."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit, urlunsplit

from clients.python.client import DEFAULT_URL, RealtimeClient
from clients.python.errors import ClientError, ConnectFailed
from clients.terminal_chat import EXIT_FAILED, EXIT_INTERRUPTED, Chat
from clients.terminal_line import Line
from clients.terminal_screen import Screen
from clients.terminal_words import WORDS, Words, guess_language

_HTTP_TIMEOUT_S = 5.0


def main(argv: list[str]) -> int:
    """Run ``kaiwa chat`` with these arguments and return the exit code."""
    options = _parse(argv)
    words = WORDS[options.lang]
    try:
        api_key = _read_key(options.api_key_file)
    except OSError as error:
        print(f"{options.api_key_file}: {error.strerror}", file=sys.stderr)
        return EXIT_FAILED
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    model = options.model or first_character(options.url, api_key)
    line = Line(lambda: RealtimeClient.connect(options.url, model=model, api_key=api_key))
    chat = Chat(
        line,
        Screen(sys.stdout, sys.stderr, is_terminal=is_terminal),
        words,
        read_line=_terminal_reader(words) if is_terminal else _pipe_reader(sys.stdin),
        fetch_characters=lambda: fetch_characters(options.url, api_key),
        is_japanese=options.lang == "ja",
    )
    try:
        return chat.run()
    except ClientError as error:
        print(f"kaiwa chat: {error.message}", file=sys.stderr)
        if isinstance(error, ConnectFailed):
            print(words.no_server, file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    finally:
        line.close()


def fetch_characters(url: str, api_key: str | None) -> list[dict[str, Any]]:
    """Ask the server behind a WebSocket address who is there; empty when it does not say."""
    parts = urlsplit(url)
    scheme = "https" if parts.scheme == "wss" else "http"
    address = urlunsplit((scheme, parts.netloc, "/v1/characters", "", ""))
    request = urllib.request.Request(address)
    if api_key:
        request.add_header("Authorization", f"Bearer {api_key}")
    try:
        with urllib.request.urlopen(request, timeout=_HTTP_TIMEOUT_S) as answer:
            data = json.load(answer)["data"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [character for character in data if isinstance(character, dict)]


def first_character(url: str, api_key: str | None) -> str | None:
    """Who answers when nobody was named; ``None`` when the server does not say."""
    characters = fetch_characters(url, api_key)
    return str(characters[0].get("id", "")) or None if characters else None


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kaiwa chat", description="Talk to a character.")
    parser.add_argument("--url", default=DEFAULT_URL, help="where the server is (%(default)s)")
    parser.add_argument("--model", help="character, engine or engine@character (the first one)")
    parser.add_argument("--lang", choices=sorted(WORDS), default=guess_language())
    parser.add_argument("--api-key-file", type=Path, help="file whose first line is the API key")
    return parser.parse_args(argv)


def _read_key(file: Path | None) -> str | None:
    if file is None:
        return None
    lines = file.read_text(encoding="utf-8").splitlines()
    return lines[0].strip() or None if lines else None


def _terminal_reader(words: Words) -> Callable[[], str]:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (gives input() line editing and history)
    return lambda: input(f"{words.you}: ")


def _pipe_reader(stdin: TextIO) -> Callable[[], str]:
    def read() -> str:
        line = stdin.readline()
        if not line:
            raise EOFError
        return line

    return read
