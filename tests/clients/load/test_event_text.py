"""Events are found by the standard's rules, however lines end and bytes are cut."""

from __future__ import annotations

import pytest

from clients.load.event_text import MAX_EVENT_BYTES, EventText, EventTooLong


def read(*chunks: bytes) -> list[bytes]:
    """All events of a stream that comes in these chunks and ends."""
    text = EventText()
    found = [data for chunk in chunks for data in text.feed(chunk)]
    return found + list(text.finish())


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_in_three_ways(end: bytes) -> None:
    """Wherever the stream is cut, a CR LF included."""
    stream = end.join([b": ping", b"data: one", b"id: 7", b"", b"data:two", b"", b""])
    assert read(stream) == [b"one", b"two"]
    assert read(*(stream[at : at + 1] for at in range(len(stream)))) == [b"one", b"two"]


def test_an_event_is_given_out_by_the_chunk_that_ends_it() -> None:
    """And not when the next one comes."""
    text = EventText()
    assert list(text.feed(b"data: one\r\n\r")) == [b"one"]
    assert list(text.feed(b"\ndata: two\r\n\r\n")) == [b"two"]


def test_data_may_stand_in_several_lines() -> None:
    """They belong together; an event without any is none."""
    assert read(b"data: {\ndata: }\n\ndata:\n\nevent: x\n\n") == [b"{\n}"]


def test_the_last_event_needs_no_empty_line() -> None:
    """Servers that close the connection leave it out."""
    assert read(b"data: one\n\ndata: two") == [b"one", b"two"]


def test_a_byte_order_mark_is_passed_over() -> None:
    """Once, at the start."""
    assert read(b"\xef\xbb\xbfdata: one\n\n") == [b"one"]


def test_an_event_that_does_not_end_is_refused() -> None:
    """Before it fills the memory; many that end are none."""
    text = EventText()
    part = b"x" * (MAX_EVENT_BYTES // 4)
    for _ in range(8):
        list(text.feed(b"data: " + part[:-8] + b"\n\n"))
    with pytest.raises(EventTooLong):
        list(text.feed(part * 5))
