"""``kaiwa chat``: talk to a character in a terminal, or through a pipe, line by line."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import json
import sys
from collections.abc import Callable
from typing import Any, TextIO

from clients.access import Access
from clients.python.errors import ClientError, ConnectFailed, ConnectionLost, ConnectRefused
from clients.terminal_chat import EXIT_FAILED, EXIT_INTERRUPTED, Chat
from clients.terminal_line import Line
from clients.terminal_screen import Screen
from clients.terminal_words import WORDS, Words, guess_language
from server.protocol.close_codes import CloseCode

_HTTP_TIMEOUT_S = 5.0


def main(argv: list[str]) -> int:
    """Run ``kaiwa chat`` with these arguments and return the exit code."""
    options = _parse(argv)
    words = WORDS[options.lang]
    try:
        access = Access.from_options(options)
    except ClientError as error:
        return _fail(error, words)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # the wire cannot carry what is no text
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    model = options.model or first_character(access)
    screen = Screen(sys.stdout, sys.stderr, is_terminal=is_terminal)
    line = Line(
        lambda: access.connect(model=model, on_lost=lambda _: screen.news(words.coming_back))
    )
    chat = Chat(
        line,
        screen,
        words,
        read_line=_terminal_reader(words) if is_terminal else _pipe_reader(sys.stdin),
        fetch_characters=lambda: fetch_characters(access),
        is_japanese=options.lang == "ja",
    )
    try:
        return chat.run()
    except ClientError as error:
        return _fail(error, words)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    finally:
        line.close()


def _fail(error: ClientError, words: Words) -> int:
    print(f"kaiwa chat: {error.message}", file=sys.stderr)
    way_out = _way_out(error, words)
    if way_out is not None:
        print(way_out, file=sys.stderr)
    return EXIT_FAILED


def _way_out(error: ClientError, words: Words) -> str | None:
    match error:
        case ConnectFailed():
            return words.no_server
        case ConnectRefused(status=401):
            return words.no_key
        case ConnectionLost(code=CloseCode.AUTHENTICATION_ENDED):
            return words.key_ended
        case ConnectionLost(code=CloseCode.REPLACED):
            return words.taken_over
        case ConnectionLost(code=CloseCode.RATE_LIMITED):
            return words.flooded
        case _:
            return None


def fetch_characters(access: Access) -> list[dict[str, Any]]:
    """Ask the server who is there; empty when it does not say."""
    try:
        with access.get("/v1/characters", _HTTP_TIMEOUT_S) as answer:
            data = json.load(answer)["data"]
    except (ClientError, OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return []
    return [character for character in data if isinstance(character, dict)]


def first_character(access: Access) -> str | None:
    """Who answers when nobody was named; ``None`` when the server does not say."""
    characters = fetch_characters(access)
    return str(characters[0].get("id", "")) or None if characters else None


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kaiwa chat", description="Talk to a character.")
    Access.add_options(parser)
    parser.add_argument("--model", help="character, engine or engine@character (the first one)")
    parser.add_argument("--lang", choices=sorted(WORDS), default=guess_language())
    return parser.parse_args(argv)


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
