"""A fence of code: one piece, several, or none after all."""

from __future__ import annotations

from server.speech.fences import MAX_CODE, MAX_FENCE, Fence
from server.speech.pending import Cut, Pending


def read(text: str, *, step: int) -> tuple[Fence, list[Cut]]:
    """Read a fence of three backticks that comes in chunks."""
    pending, fence = Pending(8, 120), Fence(3)
    cuts: list[Cut] = []
    for begin in range(0, len(text), step):
        pending.text += text[begin : begin + step]
        pending.at = max(pending.at, 3)
        while not fence.over and fence.read(pending, final=False):
            pass
        cuts += pending.take_cuts()
    return fence, cuts


def test_a_fence_ends_behind_its_spaces() -> None:
    """The closing backticks and the line's end belong to it."""
    fence, cuts = read("```\na `` b\n```\nHi", step=1)
    assert fence.over
    assert [cut.text for cut in cuts] == ["```\na `` b\n```\n"]


def test_a_long_fence_comes_in_pieces_that_end_lines() -> None:
    """Each is bounded, and no chunking moves their ends."""
    text = "```\n" + "x = 1\n" * 1_000 + "```\nHi"
    _, cuts = read(text, step=len(text))
    assert [cut.text for cut in read(text, step=1)[1]] == [cut.text for cut in cuts]
    assert all(len(cut.text) <= MAX_CODE and cut.text[-1] == "\n" for cut in cuts)
    assert "".join(cut.text for cut in cuts) == text[:-2]


def test_a_line_without_an_end_is_cut_between_clusters() -> None:
    """A letter and its accent stay together."""
    _, cuts = read("```e" + "e\u0301" * 1_500, step=7)
    assert cuts[0].text.endswith("\u0301")


def test_a_fence_that_never_closes_is_given_up() -> None:
    """After the limit the text from the last cut on is to be read again."""
    fence, cuts = read("```" + "x\n" * MAX_FENCE, step=5)
    assert fence.over
    assert sum(len(cut.text) for cut in cuts) > MAX_FENCE
