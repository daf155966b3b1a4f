"""Endless names of people, pets and towns, some of them kept back for evaluation."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable

from tools.demo_dialogues.lexicon import CITIES, Term

HELD_OUT_SHARE = 8
"""One name in this many is never used in training."""


def _words(table: str) -> tuple[str, ...]:
    return tuple(table.split())


_COMMON = _words("""
Ken Anna Tom Mary John Emma Liam Noah Olivia Sophia Lucas Mia Leo Ella Jack Lily Oscar Ruby Max
Alice Ben Chloe Sam Daniel David Sarah Laura Peter Paul James Robert Linda Kate Nina Ivan Olga
Boris Elena Marco Giulia Paolo Luca Sofia Pedro Maria Carlos Lucia Diego Ana Juan Ines Hans Greta
Karl Heidi Fritz Pierre Marie Claire Louis Camille Ali Fatima Omar Layla Hassan Amina Yusuf Priya
Raj Anita Arjun Deepa Wei Mei Ling Chen Jun Min Jisoo Hana Yuki Haruto Sakura Ren Aiko Kenji Hiro
Naoko Takeshi Emi Mika Yui Sota Riku Rin Kaito Nanami Daiki Miku Akira Chiyo Kofi Ama Kwame Zola
Thabo Lars Astrid Sven Freya Bjorn Ingrid Aoife Sean Niamh Callum Fiona Alex Chris Jordan Taylor
Robin Morgan Casey Jamie Michael Jennifer Jessica William Richard Thomas Charles Matthew Anthony
Mark Steven Andrew Joshua Kevin Brian George Emily Rachel Amanda Stephanie Rebecca Nicole Helen
Grace Victoria Zoe Isabella Charlotte Amelia Harper Evelyn Abigail
""")
_STARTS = _words("""
b br c ch d dr f g gr h j k kl l m n p pr qu r s sh st t th tr v w y z
""")
_MIDDLES = _words("""
a e i o u ai ea ee ia io ou ar er or an en in on el al il
""")
_ENDS = _words("""
a o i e n na ne ra ri la lo ley son ton lyn nda ric bert mir vin las dor ko mi ta ya x th s
""")

_KANJI_FAMILY = _words("""
佐藤 鈴木 高橋 田中 伊藤 渡辺 山本 中村 小林 加藤 吉田 山田 佐々木 山口 松本 井上 木村 林 清水
山崎 森 池田 橋本 阿部 石川 山下 中島 前田 藤田 小川 岡田 後藤 長谷川 村上 近藤 石井 坂本 遠藤
青木 藤井 西村 福田 太田 三浦 岡本 松田 中川 中野 原田 小野 田村 竹内 金子 和田 中山 石田 上田
森田 原 柴田 酒井 工藤 横山 宮崎 宮本 内田 高木 安藤 谷口 大野 丸山 今井 河野 藤原 武田 村田
""")
_KANJI_GIVEN = _words("""
蓮 陽翔 湊 樹 悠真 大翔 律 朝陽 結翔 颯太 陽葵 凛 詩 結菜 莉子 紬 葵 芽依 澪 咲良 美咲 健太 翔太
拓海 大輔 誠 直樹 花子 太郎 優子 恵 由美 真由美 香織 彩 愛 舞 麻衣 千夏 七海 美月 桜 楓 健 亮 翼
隼人 和也 達也 健二 一郎 次郎 三郎 明 進 茂 洋子 幸子 京子
""")
_KANJI_FIRST = (
    "青赤白黒金銀春夏秋冬東西南北上下大小高山川森林松竹"
    "梅藤桜花風雪月星海石水火光明清美幸福和平安永長古新"
)
_KANJI_LAST = "田川山野原島崎村本木井沢谷口浦浜岡橋宮津尾波瀬戸池森里倉江根葉"
_KANA = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロ"
_KANA_VOICED = "ガギグゲゴザジズゼゾダデドバビブベボパピプペポ"
_KANA_TAILS = ("ン", "ー", "ス", "ル", "タ", "ナ", "コ", "ミ", "ト", "ラ", "", "")
_HIRAGANA = "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろ"
_HIRAGANA_TAILS = ("こ", "な", "み", "か", "り", "た", "と", "ん", "き", "ね")
_TOWN_ENDS = _words("""
ton ville burg ford field port wick dale stead mouth haven bridge
""")


def is_held_out(text: str) -> bool:
    """Tell whether a name belongs to the evaluation, by its checksum alone."""
    return zlib.crc32(text.encode()) % HELD_OUT_SHARE == 0


def person(rng: random.Random, *, language: str, held_out: bool = False) -> str:
    """Draw a person's name as somebody writing in ``language`` would type it."""
    if language == "ja" and rng.random() < 0.88:
        return _draw(rng, _japanese_person, held_out=held_out)
    return _draw(rng, _latin_person, held_out=held_out)


def pet(rng: random.Random, *, language: str, held_out: bool = False) -> str:
    """Draw a pet's name."""
    maker = _kana_name if language == "ja" else _latin_made
    return _draw(rng, maker, held_out=held_out)


def town(rng: random.Random, *, language: str, held_out: bool = False) -> Term:
    """Draw a home town: a real city half of the time, else an invented one.

    Evaluation draws invented towns only.
    """
    if not held_out and rng.random() < 0.5:
        return rng.choice(CITIES)
    name = _draw(rng, _japanese_town if language == "ja" else _latin_town, held_out=held_out)
    return Term(name, name)


def bilingual_person(rng: random.Random) -> Term:
    """Draw a name in Latin letters beside one in kana, for a persona that gives both."""
    return Term(
        _draw(rng, _latin_person, held_out=False), _draw(rng, _japanese_person, held_out=False)
    )


def _draw(rng: random.Random, maker: Callable[[random.Random], str], *, held_out: bool) -> str:
    while True:
        name = maker(rng)
        if is_held_out(name) is held_out:
            return name


def _latin_person(rng: random.Random) -> str:
    return rng.choice(_COMMON) if rng.random() < 0.35 else _latin_made(rng)


def _latin_made(rng: random.Random) -> str:
    name = rng.choice(_STARTS) + rng.choice(_MIDDLES)
    if rng.random() < 0.45:
        name += rng.choice(_STARTS)[0] + rng.choice(_MIDDLES)
    return (name + rng.choice(_ENDS)).capitalize()


def _latin_town(rng: random.Random) -> str:
    return _latin_made(rng) + (rng.choice(_TOWN_ENDS) if rng.random() < 0.5 else "")


def _japanese_person(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.25:
        return rng.choice(_KANJI_GIVEN)
    if kind < 0.4:
        return rng.choice(_KANJI_FAMILY)
    if kind < 0.55:
        return rng.choice(_KANJI_FIRST) + rng.choice(_KANJI_LAST)
    if kind < 0.7:
        return "".join(rng.choice(_HIRAGANA) for _ in range(rng.randint(1, 2))) + rng.choice(
            _HIRAGANA_TAILS
        )
    return _kana_name(rng)


def _kana_name(rng: random.Random) -> str:
    letters = [
        rng.choice(_KANA if rng.random() < 0.75 else _KANA_VOICED) for _ in range(rng.randint(1, 3))
    ]
    tail = rng.choice(_KANA_TAILS)
    return "".join(letters) + (tail if len(letters) > 1 or tail not in ("", "ー") else "ン")


def _japanese_town(rng: random.Random) -> str:
    return (
        rng.choice(_KANJI_FIRST)
        + rng.choice(_KANJI_LAST)
        + rng.choice(("市", "町", "村", "", "島"))
    )
