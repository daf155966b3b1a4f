"""Lines that machines can read and nobody can forge."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from server.config.telemetry import LogConfig
from server.log_lines import (
    JsonFormatter,
    SteadyHandler,
    TextFormatter,
    bare,
    configure_logging,
    log_line,
    on_loop_error,
)
from server.log_repeats import BURST, WINDOW_S


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


def test_it_is_configured_once(root_logger: logging.Logger) -> None:
    """Doing it twice does not write twice."""
    configure_logging(LogConfig(format="json", level="warning"))
    configure_logging(LogConfig(format="json", level="warning"))
    (handler,) = root_logger.handlers
    assert isinstance(handler.formatter, JsonFormatter)
    assert root_logger.level == logging.WARNING


def test_libraries_are_heard_from_warnings_on(root_logger: logging.Logger) -> None:
    """Whatever level is asked for: their debug lines hold what came over the wire."""
    configure_logging(LogConfig(level="debug"))
    assert logging.getLogger("server.x").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("uvicorn.error").isEnabledFor(logging.INFO)


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_tracebacks_hold_no_words_of_errors(formatter: logging.Formatter) -> None:
    """Neither those of the error nor those of its causes."""
    try:
        try:
            raise KeyError("WHAT ONE SAID".lower())
        except KeyError as cause:
            raise ValueError("WHAT TWO SAID".lower()) from cause
    except ValueError as error:
        record = make_record()
        record.exc_info = (type(error), error, error.__traceback__)
    text = formatter.format(record)
    assert "what one said" not in text
    assert "what two said" not in text
    assert text.index("KeyError") < text.index("ValueError")
    assert "test_log_lines.py" in text


def test_the_words_of_the_system_are_kept() -> None:
    """A full disk should be called one; a bare error keeps its name."""
    record = make_record()
    error = OSError(28, "No space left on device", "/secret/place")
    record.exc_info = (OSError, error, None)
    line = TextFormatter().format(record)
    assert line.endswith("OSError: [Errno 28] No space left on device")
    record.exc_info = (RuntimeError, bare(KeyError("x")), None)
    assert TextFormatter().format(record).endswith("\nKeyError")


@pytest.mark.parametrize(
    "said",
    [
        "GET /v1/realtime?model=aoi&resume=TOKEN HTTP/1.1",
        "Authorization: Bearer TOKEN",
        "protocols realtime, openai-insecure-api-key.TOKEN, x",
        "bad key sk-proj-TOKEN",
        "secret ek_TOKEN",
        "key kw_TOKEN",
        "resumed by res_TOKENTOKEN.conv_1",
    ],
)
def test_what_looks_like_a_secret_is_blotted_out(said: str) -> None:
    """Wherever it was written."""
    record = make_record(said.replace("TOKEN", "0123456789abcdef"))
    assert "0123456789abcdef" not in JsonFormatter().format(record)


def held(handler: SteadyHandler, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that it wrote."""
    handler.flush()
    return capsys.readouterr().err.splitlines()


def warn(handler: SteadyHandler, at: float, name: str = "server.x", msg: str = "no %s") -> None:
    """One warning at a time."""
    record = logging.LogRecord(name, logging.WARNING, __file__, 1, msg, ("thing",), None)
    record.created = at
    handler.handle(record)


def test_warnings_that_repeat_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """A few are written, and later how many there were."""
    handler = SteadyHandler()
    handler.setFormatter(TextFormatter())
    for _ in range(100):
        warn(handler, 0.0)
    assert len(held(handler, capsys)) == BURST
    warn(handler, WINDOW_S, msg="some other %s")
    lines = held(handler, capsys)
    assert lines[0].endswith(f"server.x no %s repeated={100 - BURST}")
    assert len(lines) == 2


def test_lines_at_level_info_are_never_held_back(capsys: pytest.CaptureFixture[str]) -> None:
    """Each response has its line."""
    handler = SteadyHandler()
    handler.setFormatter(TextFormatter())
    for _ in range(20):
        handler.handle(make_record())
    assert len(held(handler, capsys)) == 20


def test_errors_of_the_loop_come_without_arguments(caplog: pytest.LogCaptureFixture) -> None:
    """What a callback was called with may be what somebody said."""
    loop = asyncio.new_event_loop()
    message = "Exception in callback Replies.on_delta('what was said')"
    on_loop_error(loop, {"message": message, "exception": ValueError("x")})
    loop.close()
    (record,) = caplog.records
    assert record.getMessage().endswith("loop: Exception in callback Replies.on")
    assert "what was said" not in TextFormatter().format(record)
