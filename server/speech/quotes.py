"""Which marks open and close a quotation."""

from __future__ import annotations

from server.speech.sentence_ends import is_wide

QUOTES = {
    "「": "」", "『": "』", "“": "”", "《": "》", "【": "】", "〈": "〉", "«": "»", '"': '"',
    "(": ")）", "（": ")）",
}  # fmt: skip
"""What opens a quotation, or brackets, and what closes it: any of these code points."""

QUOTE_MARKS = frozenset("".join([*QUOTES, *QUOTES.values()]))
"""Everything that opens or closes one."""

_BEFORE_QUOTE = frozenset("([{（「『—―–-:：、，")


def opens_quote(text: str, at: int, start: int, *, final: bool) -> bool | None:
    """Whether the mark at ``at``, which closes nothing, opens a quotation.

    A straight quote does before a word and behind a space, a dash, a bracket or East Asian text,
    so that 5" is none. ``None`` when the code point after it has not come yet.
    """
    if text[at] != '"':
        return text[at] in QUOTES
    if at + 1 == len(text) and not final:
        return None
    before = text[at - 1] if at > start else " "
    begins = before.isspace() or before in _BEFORE_QUOTE or is_wide(before)
    return begins and bool(text[at + 1 : at + 2].strip())
