"""A reply in any chunks in, the same segments out, as early as they are certain."""

from __future__ import annotations

from server.speech.segmenter import Segmenter


def test_segments_join_to_the_text_whatever_the_chunks() -> None:
    """Letter by letter and all at once give the same segments, and these are the text."""
    text = "Hello there! It costs 3.14, Dr. Who. そうだね（笑）。またね♪ *waves* ```x\ny``` Bye"
    whole = Segmenter()
    segments = whole.feed(text) + whole.finish()
    assert "".join(segment.text for segment in segments) == text
    letters = Segmenter()
    assert [s for letter in text for s in letters.feed(letter)] + letters.finish() == segments
