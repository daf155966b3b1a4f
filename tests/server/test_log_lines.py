"""Lines that machines can read and nobody can forge."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from server.config import LogConfig
from server.log_lines import JsonFormatter, TextFormatter, configure_logging, log_line


def make_record(event: str = "response", **fields: object) -> logging.LogRecord:
    """A record as ``log_line`` makes it."""
    record = logging.LogRecord("server.x", logging.INFO, __file__, 1, "%s", (event,), None)
    record.kaiwa_fields = fields
    return record


def test_text_has_event_and_fields() -> None:
    """On one line, values with spaces quoted."""
    line = TextFormatter().format(make_record(session="sess_1", ttft_ms=12.5, reason="a b"))
    assert line.endswith('info    server.x response session=sess_1 ttft_ms=12.5 reason="a b"')


def test_json_is_one_object() -> None:
    """Numbers stay numbers."""
    content = json.loads(JsonFormatter().format(make_record(session="sess_1", ttft_ms=12.5)))
    assert content["event"] == "response"
    assert content["ttft_ms"] == 12.5
    assert content["level"] == "info"


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_no_value_can_forge_a_line(formatter: logging.Formatter) -> None:
    """Line breaks and escapes of a terminal come out as text."""
    line = formatter.format(make_record("a\nb", value="x\r\ny\x1b[31m"))
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_tracebacks_are_written(formatter: logging.Formatter) -> None:
    """An error says where it happened."""
    record = make_record()
    record.exc_info = (ValueError, ValueError("x"), None)
    assert "ValueError" in formatter.format(record)


def test_fields_without_a_value_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """``None`` is not told."""
    caplog.set_level(logging.INFO)
    log_line(logging.getLogger("server.x"), "event", one=1, none=None)
    assert vars(caplog.records[0])["kaiwa_fields"] == {"one": 1}


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_it_is_configured_once(root: logging.Logger) -> None:
    """Doing it twice does not write twice."""
    configure_logging(LogConfig(format="json", level="warning"))
    configure_logging(LogConfig(format="json", level="warning"))
    (handler,) = root.handlers
    assert isinstance(handler.formatter, JsonFormatter)
    assert root.level == logging.WARNING
