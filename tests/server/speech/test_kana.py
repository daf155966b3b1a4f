"""Kana to sounds, mora by mora."""

from __future__ import annotations

import unicodedata

import pytest

from server.speech.kana import MORAE, kana_sounds, split_morae

_VOWELS = {"A": "AA", "I": "IY", "U": "UW", "E": "EH", "O": "AO"}
_IRREGULAR = {
    **{
        "SI": "SH",
        "ZI": "JH",
        "DI": "JH",
        "TI": "CH",
        "TU": "TS",
        "DU": "Z",
        "HU": "F",
        "WI": "IY",
    },
    **{"WE": "EH", "WO": "AO", "VU": "V", "KE": "K"},
}
_FIRST = {"R": "DX", "H": "HH"}


def _phones(kana: str) -> str:
    return " ".join(phone for phone, _ in kana_sounds(kana))


def _latin(kana: str) -> str:
    """``カ`` → ``KA``, as Unicode names it."""
    return unicodedata.name(kana).rsplit(" ", 1)[-1]


@pytest.mark.parametrize("mora", [mora for mora in MORAE if mora not in "ヶ"])
def test_every_mora_ends_in_its_vowel(mora: str) -> None:
    """The last kana's Unicode name ends in it."""
    assert MORAE[mora][-1][0] == _VOWELS[_latin(mora[-1])[-1]]


@pytest.mark.parametrize("mora", [mora for mora in MORAE if len(mora) == 1])
def test_every_mora_begins_with_its_consonant(mora: str) -> None:
    """Unicode's names spell them, with the irregular ones told here."""
    name = _latin(mora)
    first = _IRREGULAR.get(name) or _FIRST.get(name[0], name[0])
    assert MORAE[mora][0][0] == _VOWELS.get(first, first)


@pytest.mark.parametrize("mora", MORAE)
def test_every_mora_lasts_one_beat(mora: str) -> None:
    """Whatever it is made of."""
    assert sum(beats for _, beats in MORAE[mora]) == pytest.approx(1.0)


def test_every_kana_of_both_scripts_is_said() -> None:
    """No letter of hiragana or katakana is passed over; ッ and ン among them."""
    for code in (*range(0x3041, 0x3097), *range(0x30A1, 0x30FB)):
        assert kana_sounds(chr(code)), chr(code)


@pytest.mark.parametrize(
    ("kana", "phones"),
    [
        ("きょう", "K Y AO UW"),
        ("ファン", "F AA EN"),
        ("ティー", "T IY IY"),
        ("ヴァイオリン", "V AA IY AO DX IY EN"),
        ("ウィ", "W IY"),
        ("チェ", "CH EH"),
        ("ドゥ", "D UW"),
        ("クォ", "K W AO"),
        ("ねぇ", "N EH EH"),
        ("じゃ", "JH AA"),
        ("すゝめ", "S UW S UW M EH"),
    ],
)
def test_combinations_are_one_mora(kana: str, phones: str) -> None:
    """Small kana join the one before them where that is a mora, and stand alone elsewhere."""
    assert _phones(kana) == phones


def test_a_long_vowel_holds_the_vowel() -> None:
    """For a beat a mark; after ん it holds that."""
    assert kana_sounds("カーー")[-2:] == [("AA", 1.0), ("AA", 1.0)]
    assert _phones("んー") == "EN EN"
    assert kana_sounds("ー") == []


def test_a_small_tsu_holds_the_consonant_to_come() -> None:
    """A beat of it, so that the lips are shut in っぱ; at the end, the throat stops."""
    assert kana_sounds("かっぱ")[2] == ("P", 1.0)
    assert kana_sounds("あっ")[-1] == ("Q", 1.0)
    assert _phones("えっあ") == "EH Q AA"


def test_n_shuts_the_lips_before_them() -> None:
    """さんぽ is said with m, さんか is not."""
    assert _phones("さんぽ") == "S AA M P AO"
    assert _phones("さんか") == "S AA EN K AA"


def test_the_u_of_desu_and_masu_is_whispered_at_the_end() -> None:
    """Not within, and not in other words."""
    assert _phones("です").endswith("AXH")
    assert _phones("ます").endswith("AXH")
    assert "AXH" not in _phones("ですね")
    assert "AXH" not in _phones("いす")


def test_other_characters_are_passed_over() -> None:
    """Kana know nothing else."""
    assert _phones("か漢a！な") == "K AA N AA"


def test_a_text_is_cut_into_morae() -> None:
    """Small kana stay with theirs, other characters alone."""
    assert split_morae("キャットx") == ["キャ", "ッ", "ト", "x"]
