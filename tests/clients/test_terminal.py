"""``kaiwa chat``, through a pipe and as a terminal would use it."""

from __future__ import annotations

import io
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.access import Access
from clients.terminal import fetch_characters, main
from clients.terminal_chat import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, Chat
from clients.terminal_line import Line
from clients.terminal_screen import Screen, harmless
from clients.terminal_words import ENGLISH, JAPANESE, Words, guess_language
from server.config.limits import LimitsConfig
from server.config.recording import RecordConfig
from server.config.sockets import ResumeConfig
from tests.clients.live_server import LiveServer, live_server

pytestmark = pytest.mark.wire


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    """One server for all."""
    with live_server() as server:
        yield server


@pytest.fixture(scope="module")
def slow() -> Iterator[LiveServer]:
    """A server whose replies take a minute."""
    with live_server("a" * 3000, step_s=0.02) as server:
        yield server


def pipe(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let the program read this from its standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


class TestPipe:
    """Without a terminal."""

    def test_each_line_gets_its_reply(
        self,
        server: LiveServer,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Only the words come out, one reply a line, and the exit code is 0."""
        pipe(monkeypatch, "hello\n\nagain\n")
        assert main(["--url", server.realtime_url, "--model", "aoi"]) == EXIT_OK
        assert capsys.readouterr().out == "Hello there.\nHello there.\n"

    def test_who_is_recorded_is_told(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        """Beside the words, which stay as they are."""
        record = RecordConfig(dir=tmp_path / "logs", consent="operator", text="full")
        pipe(monkeypatch, "hello\n")
        with live_server(record=record) as server:
            assert main(["--url", server.realtime_url, "--model", "aoi"]) == EXIT_OK
        told = capsys.readouterr()
        assert told.out == "Hello there.\n"
        assert "is recorded, with every word" in told.err

    def test_commands_work_in_a_pipe(
        self,
        server: LiveServer,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """A script can ask who is there and start over."""
        pipe(monkeypatch, "/characters\n/new\n/nonsense\n/quit\nnever said\n")
        assert main(["--url", server.realtime_url, "--lang", "ja"]) == EXIT_OK
        out = capsys.readouterr().out
        assert "aoi  葵" in out
        assert "/nonsense というコマンドはありません" in out
        assert "Hello there." not in out

    def test_no_server_is_told_in_a_friendly_way(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """What is wrong, where, and what to do."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"ws://127.0.0.1:{free.getsockname()[1]}/v1/realtime"
        pipe(monkeypatch, "hello\n")
        assert main(["--url", url]) == EXIT_FAILED
        told = capsys.readouterr().err
        assert url in told
        assert "kaiwa serve" in told
        assert "Traceback" not in told

    def test_a_failed_reply_fails_the_script(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The reason goes to stderr, the exit code is not 0."""
        with live_server() as server:
            server.engine.refuse_with = "queue_full"
            pipe(monkeypatch, "hello\n")
            assert main(["--url", server.realtime_url]) == EXIT_FAILED
        assert capsys.readouterr().err.strip()

    def test_the_key_comes_from_a_file(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """One's own or the server's, never from the command line; a wrong one is told by name."""
        keys, mine = tmp_path / "keys", tmp_path / "mine"
        keys.write_text("# who may\n\nalice: sk-alice  # she\nbob: sk-bob\n")
        mine.write_text("sk-alice\n")
        with live_server(api_keys_file=keys) as server:
            pipe(monkeypatch, "hello\n/characters\n")
            arguments = ["--url", server.realtime_url, "--api-key-file"]
            assert main([*arguments, str(mine)]) == EXIT_OK
            assert "aoi" in capsys.readouterr().out
            pipe(monkeypatch, "hello\n")
            assert main([*arguments, str(keys)]) == EXIT_OK
            assert main([*arguments, str(tmp_path / "missing")]) == EXIT_FAILED
            assert "missing" in capsys.readouterr().err
            assert main(arguments[:2]) == EXIT_FAILED
            assert "401" in capsys.readouterr().err

    def test_bytes_that_are_no_text_are_replaced(
        self,
        server: LiveServer,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """A pipe with another encoding gets its reply and no traceback."""
        said = io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding="utf-8")
        monkeypatch.setattr("sys.stdin", said)
        assert main(["--url", server.realtime_url]) == EXIT_OK
        assert capsys.readouterr().out == "Hello there.\n"

    def test_a_bare_web_address_will_do(
        self,
        server: LiveServer,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """What the server prints when it is ready can be given as it is."""
        pipe(monkeypatch, "hello\n")
        assert main(["--url", server.url]) == EXIT_OK
        assert capsys.readouterr().out == "Hello there.\n"


class Terminal:
    """A chat on a terminal of which both ends are ours."""

    def __init__(
        self,
        server: LiveServer,
        lines: list[str | type[BaseException] | Callable[[], None]],
        words: Words = ENGLISH,
    ) -> None:
        self.out = io.StringIO()
        access = Access(server.realtime_url)
        self.line = Line(
            lambda: access.connect(
                model="aoi", on_lost=lambda _: self.screen.news(words.coming_back)
            )
        )
        self.screen = Screen(self.out, self.out, is_terminal=True)
        self._lines = iter(lines)
        self.chat = Chat(
            self.line,
            self.screen,
            words,
            read_line=self._read,
            fetch_characters=lambda: fetch_characters(access),
        )

    def run(self) -> int:
        """Talk to the end, and hang up."""
        try:
            return self.chat.run()
        finally:
            self.line.close()

    def cut(self) -> None:
        """Lose the socket."""
        self.line._loop.call_soon_threadsafe(self.line.client._socket.transport.abort)

    def _read(self) -> str:
        said = next(self._lines, EOFError)
        if isinstance(said, str):
            return said
        if isinstance(said, type):
            raise said
        said()
        return self._read()


class TestTerminal:
    """With a terminal."""

    def test_name_face_words_and_figures_are_shown(self, server: LiveServer) -> None:
        """The greeting opens, the reply comes with its face, the figures stand behind it."""
        terminal = Terminal(server, ["hello"])
        assert terminal.run() == EXIT_OK
        shown = terminal.out.getvalue()
        assert "Hi! I'm Aoi." in shown
        assert "(^▽^)" in shown
        assert "Hello there." in shown
        assert "first token after" in shown
        assert "tokens/s" in shown
        assert "\x1b[" in shown

    def test_the_greeting_is_part_of_the_conversation(self, server: LiveServer) -> None:
        """The character knows what it has said."""
        Terminal(server, ["hello"]).run()
        prompt = "".join(map(chr, list(server.engine.prompts.values())[-1]))
        assert "<assistant>Hi! I'm Aoi. What is your name?<user>hello" in prompt

    def test_ctrl_c_at_the_prompt_leaves(self, server: LiveServer) -> None:
        """As everywhere."""
        assert Terminal(server, [KeyboardInterrupt]).run() == EXIT_OK

    def test_ctrl_c_during_a_reply_interrupts_it(
        self, slow: LiveServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The reply ends, the conversation goes on."""
        terminal = Terminal(slow, ["hello", "/help"])
        interrupt_after(terminal.line, monkeypatch, [5])
        assert terminal.run() == EXIT_OK
        shown = terminal.out.getvalue()
        assert "interrupted" in shown
        assert "/characters" in shown
        assert slow.engine.cancelled

    def test_a_second_ctrl_c_leaves(
        self, slow: LiveServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Even when the server does not react."""
        terminal = Terminal(slow, ["hello", "never said"])
        interrupt_after(terminal.line, monkeypatch, [5, 5])
        assert terminal.run() == EXIT_INTERRUPTED

    def test_new_forgets(self, server: LiveServer) -> None:
        """A new conversation has none of the old one's words."""
        Terminal(server, ["remember this", "/new", "hello"]).run()
        prompt = "".join(map(chr, list(server.engine.prompts.values())[-1]))
        assert "remember this" not in prompt


class TestNews:
    """What the terminal says when the service has troubles."""

    def test_a_lost_line_comes_back_by_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In the middle of a reply: it says so, and the reply goes on to its end."""
        with live_server("la-" * 30, step_s=0.01) as server:
            terminal = Terminal(server, ["sing"])
            do_after(terminal.line, monkeypatch, {8: terminal.cut})
            assert terminal.run() == EXIT_OK
        shown = terminal.out.getvalue()
        assert shown.index(ENGLISH.coming_back) < shown.index(ENGLISH.back)
        assert "".join(part for part in plain(shown) if part in "la-").count("la-") >= 30

    def test_words_find_a_line_that_was_lost_meanwhile(self, server: LiveServer) -> None:
        """Nobody reads while the user types; the next words come back first, and are answered."""
        terminal = Terminal(server, ["hello", lambda: terminal.cut(), "again"])
        assert terminal.run() == EXIT_OK
        shown = terminal.out.getvalue()
        assert shown.count("Hello there.") == 2
        assert ENGLISH.coming_back in shown

    def test_a_lost_session_is_followed_by_another(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where there is no way back, the reply is lost, which is said, and the chat goes on."""
        with live_server(resume=ResumeConfig(window_s=0), step_s=0.02) as server:
            terminal = Terminal(server, ["hello", "again"])
            do_after(terminal.line, monkeypatch, {4: terminal.cut})
            assert terminal.run() == EXIT_OK
        shown = terminal.out.getvalue()
        assert shown.index(ENGLISH.reply_lost) < shown.index("Hello there.")

    def test_a_restarted_engine_is_told_of(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """When it is lost and when it is back; the reply is whole."""
        with live_server("la-" * 20, step_s=0.01) as server:
            terminal = Terminal(server, ["sing"])

            def restart() -> None:
                server.engine.stumble()
                server.engine.rise()

            do_after(terminal.line, monkeypatch, {8: lambda: server.call(restart)})
            assert terminal.run() == EXIT_OK
        shown = terminal.out.getvalue()
        assert shown.index(ENGLISH.engine_recovering) < shown.index(ENGLISH.engine_ready)

    def test_a_limit_says_when_to_try_again(self) -> None:
        """In the user's language, and the chat goes on."""
        with live_server(limits=LimitsConfig(requests_per_min=1)) as server:
            terminal = Terminal(server, ["hello", "again", "/help"], words=JAPANESE)
            assert terminal.run() == EXIT_OK
        shown = terminal.out.getvalue()
        assert JAPANESE.rate_limited in shown
        assert "秒後にもう一度どうぞ。" in shown
        assert "/characters" in shown


def do_after(
    line: Line, monkeypatch: pytest.MonkeyPatch, acts: dict[int, Callable[[], object]]
) -> None:
    """Do something after so many events of the next reply."""
    ask: Callable[[str], Iterator[Any]] = line.ask

    def asked(text: str) -> Iterator[Any]:
        for count, event in enumerate(ask(text)):
            yield event
            if act := acts.pop(count, None):
                act()

    monkeypatch.setattr(line, "ask", asked)


def plain(shown: str) -> str:
    """Without colours, and without what the terminal says for itself."""
    words = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    return words.replace(ENGLISH.coming_back, "").replace(ENGLISH.back, "")


def interrupt_after(line: Line, monkeypatch: pytest.MonkeyPatch, counts: list[int]) -> None:
    """Press Ctrl-C after so many events of the next reply, and again."""
    ask: Callable[[str], Iterator[Any]] = line.ask

    class Pressed(Iterator[Any]):
        def __init__(self, text: str) -> None:
            self._events, self._seen = ask(text), 0

        def __next__(self) -> Any:
            if counts and self._seen >= counts[0]:
                del counts[0]
                signal.raise_signal(signal.SIGINT)
            self._seen += 1
            return next(self._events)

    monkeypatch.setattr(line, "ask", Pressed)


def test_a_model_cannot_steer_the_terminal() -> None:
    """Escape sequences, bells and reversed writing are dropped; Japanese and line ends stay."""
    assert harmless("a\x1b[2Jb\x07\u202ec\x9bd\r") == "a[2Jbcd"
    assert harmless("葵\n\tok") == "葵\n\tok"


def test_unknown_faces_are_shown_by_name() -> None:
    """A character may have faces of its own."""
    out = io.StringIO()
    Screen(out, out, is_terminal=True).face("smug")
    assert "(smug)" in out.getvalue()


def test_both_languages_say_the_same_things() -> None:
    """Every text with a gap has the same gap in the other language."""
    for name in ENGLISH.__slots__:
        english, japanese = getattr(ENGLISH, name), getattr(JAPANESE, name)
        for gap in ("{name}", "{command}", "{rate", "{ms", "{seconds"):
            assert (gap in english) == (gap in japanese), name


@pytest.mark.parametrize(
    ("locale", "language"), [("ja_JP.UTF-8", "ja"), ("de_DE", "en"), ("C", "en")]
)
def test_the_language_follows_the_locale(
    locale: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Japanese for Japanese terminals, English for all others."""
    monkeypatch.setenv("LC_ALL", locale)
    assert guess_language() == language
