"""Writes wire logs: notes from the event loop, files by one thread.

The loop only notes what happened, which takes a few microseconds, and never waits: a session whose
notes find no room is recorded no further. The thread turns notes into lines, replaces words where
that is asked for, and appends a few times a second; between that no file is open.

::

    LiveSession ─► Recording ─► Backlog (bounded) ─► thread: line ─► budgets ─► append
"""

from __future__ import annotations

import datetime
import logging
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from server.config.recording import Consent, RecordConfig, TextMode
from server.log_lines import log_line
from server.metrics import Metrics
from server.protocol.client_events import ClientEvent
from server.protocol.server_events import ServerEvent
from server.recording.backlog import Backlog
from server.recording.folder import SUFFIX, append, prepare_folder
from server.recording.redaction import SALT_BYTES
from server.recording.wire_log import (
    RECORDING_ENDED,
    SESSION_ENDED,
    SOCKET_CLOSED,
    SOCKET_RESUMED,
    Note,
    WireLog,
)

logger = logging.getLogger(__name__)

MAX_WAITING = 65_536
"""Notes that may wait for the thread, of all sessions."""
MAX_WAITING_CHARS = 16 * 1024 * 1024
"""Characters of text that they may hold."""
LINGER_S = 0.25
"""How long notes gather before they are written; so much is lost when the process is killed."""
CLOSE_TIMEOUT_S = 5.0
_LAST_LINE_BYTES = 128
"""Kept free in each file for the line that says why it ends."""
_LEAST_BYTES = 1024
"""A folder with less room than this is full: a log of a word and its answer would not fit."""


def is_agreed(consent: Consent, answer: str | None) -> bool:
    """Whether a session may be recorded.

    Args:
        consent: Who is to agree.
        answer: What the client said of it in its handshake, if anything.
    """
    return answer == "yes" or (consent == "operator" and answer != "no")


class Recording:
    """One session's log, as its live session sees it; for the event loop alone.

    Attributes:
        text: What is kept of its words.
    """

    def __init__(self, log: WireLog, text: TextMode, header: Note, file: _File) -> None:
        """Start with nothing written; a session that never begins leaves no file."""
        self.text = text
        self._log = log
        self._header = header
        self._file = file
        self._started = 0.0

    def start(self, now: float) -> None:
        """The session begins.

        Args:
            now: Seconds, on the clock of all ``now``.
        """
        self._started = now
        self._file.offer(None, self._header)

    def received(self, event: ClientEvent, now: float) -> None:
        """The client said something."""
        if not self._file.is_over:
            self._offer(self._log.received(event), now)

    def sent(self, event: ServerEvent, now: float) -> None:
        """The client is told something; called for each token."""
        if not self._file.is_over:
            self._offer(self._log.sent(event), now)

    def socket_closed(self, now: float) -> None:
        """The session waits for its client."""
        self._offer(self._log.happened(SOCKET_CLOSED), now)

    def socket_resumed(self, now: float) -> None:
        """The client has come back."""
        self._offer(self._log.happened(SOCKET_RESUMED), now)

    def end(self, now: float) -> None:
        """The session is over; the file is whole."""
        if not self._file.is_over:
            self._offer(self._log.happened(SESSION_ENDED), now)
            self._file.finish()

    def _offer(self, note: Note, now: float) -> None:
        self._file.offer((now - self._started) * 1e3, note)


class _File:
    """One log on its way; ``is_over`` is set by the loop and by the thread, and never taken back.

    What the loop still offers behind that is thrown away by the thread.
    """

    def __init__(self, path: Path, log: WireLog, backlog: Backlog[_Waiting]) -> None:
        self.path = path
        self.log = log
        self.is_over = False
        self.is_shut = False  # the thread's own: nothing more is written
        self.num_bytes = 0
        self._backlog = backlog

    def offer(self, ms: float | None, note: Note) -> None:
        """Have a note written, or end here."""
        if self.is_over:
            return
        if not self._backlog.offer(_Waiting(self, ms, note), len(note.get("text") or "")):
            self.is_over = True
            self._backlog.offer(_Waiting(self, ms, note, "backlog"), anyhow=True)

    def finish(self) -> None:
        """Nothing more will come."""
        self.is_over = True
        self._backlog.offer(_Waiting(self, None, {}, "whole"), anyhow=True)


@dataclass(slots=True)  # one for each token: a frozen one takes three times as long to make
class _Waiting:
    """A note of a file; ``ends`` says why it is the last, which then stands in its place."""

    file: _File
    ms: float | None
    note: Note
    ends: str | None = None


class Recorder:
    """All wire logs of one server."""

    def __init__(
        self,
        config: RecordConfig,
        folder: Path,
        metrics: Metrics,
        *,
        max_waiting_chars: int = MAX_WAITING_CHARS,
    ) -> None:
        """Prepare the folder, and start the thread.

        Args:
            config: How much is kept.
            folder: Where.
            metrics: Told how recordings end.
            max_waiting_chars: Of text that may wait for the thread.

        Raises:
            ConfigError: The folder cannot be used.
        """
        self._config = config
        self._folder = folder
        self._metrics = metrics
        self._total = prepare_folder(folder)
        self._is_full = self._total + _LEAST_BYTES > config.max_total_bytes
        if self._is_full:
            self._tell_full()
        self._backlog: Backlog[_Waiting] = Backlog(
            max_items=MAX_WAITING, max_chars=max_waiting_chars
        )
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wire-logs", daemon=True)
        self._thread.start()
        log_line(logger, "recording", consent=config.consent, text=config.text)

    def begin(
        self, session_id: str, character_id: str | None, answer: str | None
    ) -> Recording | None:
        """Make a log for a session that may be recorded; ``None`` for any other.

        Args:
            session_id: The session's; it names the file.
            character_id: Who answers.
            answer: What the client said of being recorded, if anything.
        """
        config = self._config
        if self._is_full or self._closing.is_set() or not is_agreed(config.consent, answer):
            return None
        log = WireLog(config.text, secrets.token_bytes(SALT_BYTES))
        now = datetime.datetime.now(datetime.UTC)
        header = log.header(
            session_id=session_id,
            character_id=character_id,
            started_at=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            consent=config.consent,
        )
        file = _File(self._folder / f"{session_id}{SUFFIX}", log, self._backlog)
        return Recording(log, config.text, header, file)

    def close(self) -> None:
        """Write what waits, and stop the thread; waits for a disk at most ``CLOSE_TIMEOUT_S``."""
        self._closing.set()
        self._backlog.wake()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            self._backlog.wait()
            is_last = self._closing.wait(LINGER_S)
            self._write(self._backlog.take())

    def _write(self, waiting: Sequence[_Waiting]) -> None:
        by_file: dict[_File, list[_Waiting]] = {}
        for one in waiting:
            by_file.setdefault(one.file, []).append(one)
        for file, notes in by_file.items():
            if not file.is_shut:
                self._write_file(file, notes)

    def _write_file(self, file: _File, notes: Sequence[_Waiting]) -> None:
        lines, ends = self._fitting(file, notes)
        data = b"".join(lines)
        if data:
            try:
                append(file.path, data, is_new=file.num_bytes == 0)
            except OSError as error:
                logger.warning("a wire log cannot be written: %s", error.strerror)
                ends = "failed"
            else:
                file.num_bytes += len(data)
                self._total += len(data)
                self._metrics.recorded_bytes.inc(len(data))
        if ends is not None:
            file.is_over = file.is_shut = True
            self._metrics.recordings.labels(ends).inc()
        if ends == "folder_full" and not self._is_full:
            self._is_full = True
            self._tell_full()

    def _fitting(self, file: _File, notes: Sequence[_Waiting]) -> tuple[list[bytes], str | None]:
        """Turn notes into lines up to the first that has no room; says why nothing follows."""
        config = self._config
        lines: list[bytes] = []
        in_file, in_all = file.num_bytes, self._total
        for one in notes:
            if one.ends == "whole":
                return lines, one.ends
            ends = one.ends
            line = b"" if ends else file.log.line(one.note, one.ms)
            if in_all + len(line) + _LAST_LINE_BYTES > config.max_total_bytes:
                ends = "folder_full"
            elif in_file + len(line) + _LAST_LINE_BYTES > config.max_file_bytes:
                ends = "file_full"
            if ends:
                if in_file:  # a file that has not begun is not begun for its end
                    note = file.log.happened(RECORDING_ENDED, ends)
                    lines.append(file.log.line(note, one.ms or 0.0))
                return lines, ends
            lines.append(line)
            in_file += len(line)
            in_all += len(line)
        return lines, None

    def _tell_full(self) -> None:
        logger.warning(
            "wire logs take %d bytes, as many as record.max_total_bytes lets them; nothing more is "
            "recorded until some are moved away and the server is started anew",
            self._config.max_total_bytes,
        )


def open_recorder(config: RecordConfig, metrics: Metrics) -> Recorder | None:
    """Start recording where the settings ask for it.

    Raises:
        ConfigError: The folder cannot be used.
    """
    return None if config.dir is None else Recorder(config, config.dir, metrics)
