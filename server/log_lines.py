"""One line per happening: ids and numbers, never a word that anybody said.

``log_line`` takes an event's name and its fields. The text format writes ``event key=value …``, the
JSON format one object. Control characters are escaped in both, so that no value can forge a line.

What libraries say is not ours to trust: they are heard from warnings on, tracebacks come without
the words of their errors, and what looks like a key or a query string is blotted out. Warnings that
repeat are written a few times a minute, and then counted.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any

from server.config.telemetry import LogConfig
from server.log_repeats import RepeatLimit

Field = str | int | float | bool | None

_FIELDS = "kaiwa_fields"
_OURS = ("server", "engine", "clients")
_SECRETS = re.compile(
    r"""(?ix)
    (?<=\?) [\w.%~-]+ = [^\s"'<>]*               # the query of an address
    | (?<=openai-insecure-api-key\.) [^\s"',]+   # the key of a subprotocol
    | (?<=bearer\ ) [^\s"',]+
    | \b (?:sk|ek|kw) [-_] [\w-]{6,}
    | \b res_ [\w-]{22}                           # a token to come back with
    """
)
_MAX_CHAIN = 8

logger = logging.getLogger(__name__)


def log_line(logger: logging.Logger, event: str, /, **fields: Field) -> None:
    """Log an event at level info; fields that are ``None`` are left out."""
    if logger.isEnabledFor(logging.INFO):
        told = {name: value for name, value in fields.items() if value is not None}
        logger.info("%s", event, extra={_FIELDS: told})


def configure_logging(config: LogConfig) -> None:
    """Send everything to stderr in the configured format; stdout is for the ready line."""
    handler = SteadyHandler()
    handler.setFormatter(JsonFormatter() if config.format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    level = getattr(logging, config.level.upper())
    root.setLevel(max(level, logging.WARNING))
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    # In the loop's debug mode its warnings hold the arguments of callbacks.
    logging.getLogger("asyncio").setLevel(logging.ERROR)


def on_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what reached the event loop; its own handler would write out arguments and errors."""
    words = re.match(r"[A-Za-z. ]*", str(context.get("message", "")))
    error = context.get("exception")
    log = logger.getChild("loop")
    what = words.group().strip() if words else ""
    log.error("an error reached the event loop: %s", what, exc_info=error)


class SteadyHandler(logging.StreamHandler[Any]):
    """Writes to stderr, and counts warnings where it would repeat them."""

    def __init__(self) -> None:
        """Nothing has been written."""
        super().__init__(sys.stderr)
        self._repeats = RepeatLimit()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, unless its like was written often enough."""
        for kind, count in self._repeats.overdue(record.created):
            self._write_count(record.created, kind, count)
        if record.levelno >= logging.WARNING:
            kind = (record.name, record.levelno, str(record.msg))
            num_held = self._repeats.judge(kind, record.created)
            if num_held is None:
                return
            if num_held:
                setattr(record, _FIELDS, {**_fields(record), "repeated": num_held})
        super().emit(record)

    def _write_count(self, now: float, kind: object, count: int) -> None:
        assert isinstance(kind, tuple)
        name, level, message = kind
        told = {"name": name, "levelno": level, "levelname": logging.getLevelName(level)}
        # The pattern of the message, not what one of them said.
        record = logging.makeLogRecord({**told, "msg": "%s", "args": (message,), "created": now})
        setattr(record, _FIELDS, {"repeated": count})
        super().emit(record)


class TextFormatter(logging.Formatter):
    """``time level logger event key=value …`` and, where there is one, the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        parts = [
            time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(record.created))
            + f".{int(record.msecs):03d}",
            f"{record.levelname.lower():<7}",
            record.name,
            _escape(_message(record)),
        ]
        parts += [f"{name}={_shown(value)}" for name, value in _fields(record).items()]
        line = " ".join(parts)
        trace = _trace(record)
        return f"{line}\n{trace}" if trace else line


class JsonFormatter(logging.Formatter):
    """One JSON object per line, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        content: dict[str, Field] = {
            "ts": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _message(record),
            **_fields(record),
        }
        trace = _trace(record)
        if trace:
            content["traceback"] = trace
        return json.dumps(content, ensure_ascii=False, default=str)


def _fields(record: logging.LogRecord) -> dict[str, Field]:
    fields = getattr(record, _FIELDS, None)
    return fields if isinstance(fields, dict) else {}


def _shown(value: Field) -> str:
    text = _escape(str(value))
    return json.dumps(text, ensure_ascii=False) if " " in text or '"' in text else text


def _escape(text: str) -> str:
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def _message(record: logging.LogRecord) -> str:
    return _SECRETS.sub("…", record.getMessage())


def _trace(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return "" if error is None else "\n".join(_trace_lines(error)).rstrip()


def _trace_lines(error: BaseException) -> Iterator[str]:
    """Where an error came from, the first of a chain first, without what any of them says."""
    chain = [error]
    while len(chain) < _MAX_CHAIN:
        before = chain[-1].__cause__
        if before is None and not chain[-1].__suppress_context__:
            before = chain[-1].__context__
        if before is None or before in chain:
            break
        chain.append(before)
    for one in reversed(chain):
        if one.__traceback__ is not None:
            yield "Traceback (most recent call last):"
            yield "".join(traceback.format_tb(one.__traceback__)).rstrip()
        yield _named(one)


def _named(error: BaseException) -> str:
    """An error's type, and its words where they are the system's or our own."""
    name = type(error).__qualname__
    if isinstance(error, BareError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: [Errno {error.errno}] {error.strerror}"
    return name


class BareError(RuntimeError):
    """The name of an error, in its place."""


def bare(error: BaseException) -> BaseException:
    """Keep an error's traceback for the log, but not its words: they may quote somebody."""
    return BareError(type(error).__name__).with_traceback(error.__traceback__)
