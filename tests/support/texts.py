"""Random texts that are hard on whoever cuts them."""

from __future__ import annotations

import random

ANY_CODE_POINT = [*range(0x20, 0xD800), *range(0xE000, 0x11000), *range(0x11000, 0x1FFFF, 3)]
CLUSTERS = [
    *"abc xyz!?.,019#*\n",
    *"こんにちは。会話「」漢字アオイー",
    "か\u3099", "は\u309a", "あ\u3099", "ｶ\uff9e", "ﾊ\uff9f", "葛\U000e0100", "辻\ufe00",
    "e\u0301", "o\u0302\u0323", "Z\u0351\u0344\u0357\u0360", " \u0301", "。\u3099",
    "1\ufe0f\u20e3", "#\ufe0f\u20e3", "❤\ufe0f", "👍🏽", "👨\u200d👩\u200d👧\u200d👦",
    "🏳\ufe0f\u200d🌈", "❤\ufe0f\u200d🔥", "🧑🏿\u200d🚀", "🇯🇵", "🇺🇸", "🇫", "😀", "©", "™\ufe0f",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "\u1112\u1161\u11ab", "\u1100\u1161", "한", "각\u11a8", "가\u11a8",
    "क\u094dष", "न\u093f", "क\u094d\u200dष", "ক\u09cdষ", "ம\u0bbf", "ก\u0e33", "น\u0e49\u0e33",
    "\r\n", "\r", "\n", "\t", "\u200d", "\u0600م", "\u200b", "\u2028", "\ufeff", "\u0301",
]  # fmt: skip


def random_text(draw: random.Random, length: int) -> str:
    """Everyday text, text in clusters of many code points, and any code points at all."""
    parts = []
    for _ in range(length):
        if draw.random() < 0.9:
            parts.append(draw.choice(CLUSTERS))
        else:
            parts.append(chr(draw.choice(ANY_CODE_POINT)))
    return "".join(parts)
