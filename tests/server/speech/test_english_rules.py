"""Letters to sounds."""

from __future__ import annotations

import random
import string

import pytest

from server.speech.english_rules import spelled_phones
from server.speech.mouth import stretches


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("cat", "K AE T"),
        ("make", "M EH IY K"),
        ("making", "M EH IY K IH NG"),
        ("city", "S IH T IY"),
        ("judge", "JH AH JH"),
        ("night", "N AA IY T"),
        ("station", "S T EH IY SH AX N"),
        ("question", "K W EH S CH AX N"),
        ("phone", "F AO UW N"),
        ("knife", "N AA IY F"),
        ("write", "R AA IY T"),
        ("church", "CH ER CH"),
        ("school", "S K UW L"),
        ("rain", "R EH IY N"),
        ("seen", "S IY N"),
        ("boat", "B AO UW T"),
        ("moon", "M UW N"),
        ("out", "AA UW T"),
        ("boy", "B AO IY"),
        ("new", "N UW"),
        ("care", "K EH R"),
        ("near", "N IY R"),
        ("bird", "B ER D"),
        ("storm", "S T AO R M"),
        ("stopped", "S T AA P T"),
        ("wanted", "W AA N T AX D"),
        ("boxes", "B AA K S AX Z"),
        ("dogs", "D AO G Z"),
        ("cats", "K AE T S"),
        ("thing", "TH IH NG"),
        ("think", "TH IH NG K"),
        ("little", "L IH T AX L"),
        ("happy", "HH AE P IY"),
        ("cry", "K R AA IY"),
        ("use", "Y UW Z"),
        ("famous", "F EH IY M AX S"),
        ("picture", "P IH K CH ER"),
        ("unit", "Y UW N IH T"),
        ("sign", "S AA IY N"),
        ("lamb", "L AE M"),
    ],
)
def test_common_words_are_said(word: str, phones: str) -> None:
    """Each shows a rule or two."""
    assert " ".join(spelled_phones(word)) == phones


def test_any_letters_can_be_said() -> None:
    """Random words end, bring no more than two sounds a letter, and each sound has a shape."""
    rng = random.Random(5)
    for _ in range(2_000):
        word = "".join(rng.choice(string.ascii_lowercase + "'3") for _ in range(rng.randrange(15)))
        phones = spelled_phones(word)
        assert len(phones) <= 2 * len(word) + 1
        stretches([(phone, 1.0) for phone in phones], "oculus")
