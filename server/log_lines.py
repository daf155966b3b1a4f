"""One line per happening: ids and numbers, never a word that anybody said.

``log_line`` takes an event's name and its fields. The text format writes ``event key=value …``, the
JSON format one object. Control characters are escaped in both, so that no value can forge a line.
"""

from __future__ import annotations

import json
import logging
import sys
import time

from server.config import LogConfig

Field = str | int | float | bool | None

_FIELDS = "kaiwa_fields"


def log_line(logger: logging.Logger, event: str, /, **fields: Field) -> None:
    """Log an event at level info; fields that are ``None`` are left out."""
    if logger.isEnabledFor(logging.INFO):
        told = {name: value for name, value in fields.items() if value is not None}
        logger.info("%s", event, extra={_FIELDS: told})


def configure_logging(config: LogConfig) -> None:
    """Send everything to stderr in the configured format; stdout is for the ready line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if config.format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.level.upper())
    for chatty in ("asyncio", "websockets", "httpx", "urllib3", "filelock"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class TextFormatter(logging.Formatter):
    """``time level logger event key=value …`` and, where there is one, the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        parts = [
            time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(record.created))
            + f".{int(record.msecs):03d}",
            f"{record.levelname.lower():<7}",
            record.name,
            _escape(record.getMessage()),
        ]
        parts += [f"{name}={_shown(value)}" for name, value in _fields(record).items()]
        line = " ".join(parts)
        return line if not record.exc_info else f"{line}\n{self.formatException(record.exc_info)}"


class JsonFormatter(logging.Formatter):
    """One JSON object per line, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        content: dict[str, Field] = {
            "ts": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            content["traceback"] = self.formatException(record.exc_info)
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


def bare(error: BaseException) -> BaseException:
    """Keep an error's traceback for the log, but not its words: they may quote somebody."""
    return RuntimeError(type(error).__name__).with_traceback(error.__traceback__)
