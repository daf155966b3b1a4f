"""The text of server-sent events: bytes in as they come, the data of whole events out."""

from __future__ import annotations

from collections.abc import Iterator

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""Of one event that has not ended; a server that never ends one must not fill the memory."""
_MARK = b"\xef\xbb\xbf"


class EventTooLong(Exception):
    """An event does not end."""


class EventText:
    """Finds the events of one stream (the HTML standard, 9.2.6); fields but ``data`` are nothing.

    Lines end with CR LF, LF or CR; an event's data may stand in several; a line that begins with a
    colon is a comment, as servers send them to keep a connection open.
    """

    def __init__(self) -> None:
        """Stand before the first byte."""
        self._line: list[bytes] = []  # the parts of a line that has not ended
        self._data: list[bytes] = []
        self._num_bytes = 0
        self._was_cr = False
        self._is_first = True

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take in some bytes, and give out the data of each event that they complete.

        Raises:
            EventTooLong: One is longer than ``MAX_EVENT_BYTES``.
        """
        if self._was_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        if not chunk:
            return
        self._was_cr = chunk.endswith(b"\r")
        for line in chunk.splitlines(keepends=True):
            self._num_bytes += len(line)
            if self._num_bytes > MAX_EVENT_BYTES:
                raise EventTooLong
            self._line.append(line.rstrip(b"\r\n"))
            if line.endswith((b"\r", b"\n")):
                yield from self._end_line()

    def finish(self) -> Iterator[bytes]:
        """The stream ended as it should; give out an event whose last line breaks are missing."""
        yield from self._end_line()
        yield from self._end_event()

    def _end_line(self) -> Iterator[bytes]:
        line, self._line = b"".join(self._line), []
        if self._is_first:
            line, self._is_first = line.removeprefix(_MARK), False
        if not line:
            yield from self._end_event()
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))

    def _end_event(self) -> Iterator[bytes]:
        data, self._data, self._num_bytes = b"\n".join(self._data).strip(), [], 0
        if data:
            yield data
