"""The conversation as the terminal sees it: commands, replies as they come, interrupts."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from clients.python.errors import ConnectionLost, ReplyFailed, RequestRefused
from clients.python.events import raise_if_failed
from clients.terminal_line import Line
from clients.terminal_screen import Screen
from clients.terminal_words import Words
from server.protocol.character_events import (
    CharacterEngine,
    CharacterExpression,
    CharacterSessionExpiring,
    CharacterSessionGoingAway,
)
from server.protocol.objects import RecordingObject, ResponseMetrics
from server.protocol.server_events import (
    ErrorEvent,
    ResponseDone,
    ResponseOutputTextDelta,
    SessionCreated,
)

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


class Chat:
    """The conversation as the terminal sees it.

    Args:
        line: To the server; not yet open.
        screen: Where everything is shown.
        words: The interface's language.
        read_line: Waits for the user's next line; raises ``EOFError`` at the end.
        fetch_characters: Asks the server who is there.
        is_japanese: Which of a character's names to show.
    """

    def __init__(
        self,
        line: Line,
        screen: Screen,
        words: Words,
        *,
        read_line: Callable[[], str],
        fetch_characters: Callable[[], list[dict[str, Any]]],
        is_japanese: bool = False,
    ) -> None:
        self._line = line
        self._screen = screen
        self._words = words
        self._read_line = read_line
        self._fetch_characters = fetch_characters
        self._is_japanese = is_japanese
        self._name = ""
        self._exit_code = EXIT_OK

    def run(self) -> int:
        """Talk until the user has had enough; return the exit code.

        Raises:
            ClientError: The connection cannot be made, or broke.
        """
        self._open()
        while True:
            try:
                said = self._read_line().strip()
            except (EOFError, KeyboardInterrupt):
                self._screen.note(f"\n{self._words.bye}")
                return self._exit_code
            if said == "/quit":
                self._screen.note(self._words.bye)
                return self._exit_code
            if said.startswith("/"):
                self._command(said)
            elif said and not self._exchange(said):
                return EXIT_INTERRUPTED

    def _open(self) -> None:
        self._line.open()
        session = self._line.client.session
        assert session is not None
        self._name = session.model
        name = session.character.name
        self._name = (name.ja if self._is_japanese else None) or name.en or session.model
        self._screen.note(self._words.talking_to.format(name=self._name))
        self._screen.note(self._words.hint)
        if isinstance(session.recording, RecordingObject):
            told = self._words.recorded
            tell = self._screen.note if self._screen.is_terminal else self._screen.problem
            tell(told.get(session.recording.text, told["full"]))
        self._greet()

    def _greet(self) -> None:
        """Let the character open the conversation; a pipe comes with its own first words."""
        session = self._line.client.session
        if session is None:
            return
        greeting = session.character.greeting
        text = (greeting.ja if self._is_japanese else None) or greeting.en
        if text and self._screen.is_terminal:
            self._line.remember(text)
            self._screen.begin_reply(self._name)
            self._screen.words(text)
            self._screen.end_reply()

    def _command(self, said: str) -> None:
        match said.split()[0]:
            case "/help":
                self._screen.listing(self._words.help)
            case "/new":
                self._screen.note(self._words.new_conversation)
                self._open()
            case "/characters":
                self._list_characters()
            case command:
                self._screen.listing(self._words.unknown_command.format(command=command))

    def _list_characters(self) -> None:
        characters = self._fetch_characters()
        if not characters:
            self._screen.listing(self._words.no_characters)
        for character in characters:
            self._screen.listing(
                f"{character.get('id', '')}  {self._localized(character, 'name')}"
                f"  {self._localized(character, 'description')}".rstrip()
            )

    def _localized(self, character: dict[str, Any], key: str) -> str:
        texts = character.get(key)
        if not isinstance(texts, dict):
            return ""
        return str((texts.get("ja") if self._is_japanese else None) or texts.get("en", ""))

    def _exchange(self, said: str) -> bool:
        """Show one reply; false when the user interrupted twice and wants to leave."""
        self._screen.begin_reply(self._name)
        try:
            with _interrupts(self._line.interrupt):
                self._show_reply(said)
        except KeyboardInterrupt:
            self._screen.end_reply(self._words.interrupted)
            return False
        except RequestRefused as refusal:
            self._screen.end_reply()
            self._fail(refusal)
        except ConnectionLost as loss:
            self._screen.end_reply()
            if not loss.is_retryable:
                raise
            self._problem(self._words.reply_lost)
            if not self._line.client.is_open:  # there is no way back to this session
                self._screen.note(self._words.new_conversation)
                self._open()
        return True

    def _show_reply(self, said: str) -> None:
        asked_at = time.monotonic()
        first_at: float | None = None
        for event in self._line.ask(said):
            match event:
                case ResponseOutputTextDelta():
                    first_at = time.monotonic() if first_at is None else first_at
                    self._screen.words(event.delta)
                case CharacterExpression():
                    self._screen.face(event.name)
                case ErrorEvent():
                    self._screen.problem(event.error.message)
                case SessionCreated():
                    self._screen.news(self._words.back)
                case CharacterEngine():
                    is_back = event.status == "ready"
                    words = self._words
                    self._screen.news(words.engine_ready if is_back else words.engine_recovering)
                case CharacterSessionGoingAway():
                    self._screen.news(self._words.going_away)
                case CharacterSessionExpiring():
                    self._screen.news(self._words.expiring)
                case ResponseDone():
                    self._finish(event, asked_at, first_at)

    def _finish(self, done: ResponseDone, asked_at: float, first_at: float | None) -> None:
        words = self._words
        notes = []
        match done.response.status:
            case "cancelled":
                notes.append(words.interrupted)
            case "incomplete":
                notes.append(words.cut_short)
        if first_at is not None:
            notes.append(words.first_token.format(ms=(first_at - asked_at) * 1000))
            rate = _tokens_per_second(done, time.monotonic() - first_at)
            if rate is not None:
                notes.append(words.tokens_per_second.format(rate=rate))
        self._screen.end_reply(*notes)
        try:
            raise_if_failed(done)
        except ReplyFailed as failure:
            self._fail(failure)

    def _fail(self, failure: RequestRefused | ReplyFailed) -> None:
        """Say what went wrong, and when to try again."""
        words = self._words
        told = {
            "rate_limit_exceeded": words.rate_limited,
            "queue_full": words.busy,
            "server_overloaded": words.busy,
            "server_draining": words.going_away,
        }.get(failure.code, failure.message)
        if failure.retry_after_s is not None and failure.code != "server_draining":
            told = f"{told} {words.wait.format(seconds=max(1, failure.retry_after_s))}"
        self._problem(told)

    def _problem(self, text: str) -> None:
        """Say what went wrong and go on; a script learns of it by the exit code."""
        self._screen.problem(text)
        if not self._screen.is_terminal:
            self._exit_code = EXIT_FAILED


def _tokens_per_second(done: ResponseDone, spent: float) -> float | None:
    """The server's own figure, or what it looked like from here."""
    if isinstance(done.x_metrics, ResponseMetrics):
        return done.x_metrics.tokens_per_second
    usage = done.response.usage
    if usage is None or usage.output_tokens < 2 or spent <= 0:
        return None
    return (usage.output_tokens - 1) / spent


@contextmanager
def _interrupts(interrupt: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C interrupt the reply, and the second raise ``KeyboardInterrupt``.

    A handler of our own, because an exception would come out of whatever line runs just then.
    """
    presses = 0

    def on_press(_number: int, _frame: FrameType | None) -> None:
        nonlocal presses
        presses += 1
        if presses > 1:
            raise KeyboardInterrupt
        interrupt()

    before = signal.signal(signal.SIGINT, on_press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
