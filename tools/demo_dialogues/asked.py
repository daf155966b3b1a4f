"""Recognise what a character has just asked the user for, by how the message ends."""

from __future__ import annotations

_ENDS = {
    "en": {
        "name?": "name",
        "call you?": "name",
        "ask it?": "name",
        "What is it?": "name",
        "are you from?": "home",
        "you live?": "home",
        "a living?": "job",
        "your job?": "job",
        "favourite food?": "food",
        "like to eat?": "food",
        "want to eat?": "food",
        "favourite colour?": "colour",
        "colour do you like?": "colour",
        "your hobby?": "hobby",
        "free time?": "hobby",
        "have a hobby?": "hobby",
        "What do you like?": "like",
        "have a pet?": "pet",
        "How are you?": "mood",
        "How are you today?": "mood",
        "And you?": "mood",
        "How about you?": "mood",
        "your day?": "mood",
    },
    "ja": {
        "名前は？": "name",
        "名前は何ですか？": "name",
        "名前はなに？": "name",
        "教えていただけますか？": "name",
        "呼びすればいいですか？": "name",
        "お住まいですか？": "home",
        "住んでるの？": "home",
        "ご出身はどちらですか？": "home",
        "ご出身はどちら？": "home",
        "お仕事は何をしていますか？": "job",
        "お仕事は何をしてるの？": "job",
        "どんなお仕事ですか？": "job",
        "好きな食べ物は何ですか？": "food",
        "好きな食べ物はなに？": "food",
        "食べるのが好きですか？": "food",
        "何が食べたいですか？": "food",
        "好きな色は何ですか？": "colour",
        "好きな色はなに？": "colour",
        "趣味は何ですか？": "hobby",
        "趣味はなに？": "hobby",
        "趣味は？": "hobby",
        "何が好きですか？": "like",
        "何が好き？": "like",
        "ペットはいますか？": "pet",
        "ペットはいる？": "pet",
        "お元気ですか？": "mood",
        "お元気？": "mood",
        "あなたはいかがですか？": "mood",
        "今日はどうでしたか？": "mood",
        "今日はどうだった？": "mood",
    },
}


def asked_kind(text: str, language: str) -> str | None:
    """Return the kind of fact that ``text`` asks for, ``"mood"``, or ``None``."""
    return next((kind for end, kind in _ENDS[language].items() if text.endswith(end)), None)
