"""What the terminal chat says for itself, in English and in Japanese."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "ja"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One language's texts."""

    talking_to: str
    hint: str
    help: str
    you: str
    interrupted: str
    cut_short: str
    new_conversation: str
    no_characters: str
    unknown_command: str
    no_server: str
    tokens_per_second: str
    first_token: str
    bye: str


ENGLISH = Words(
    talking_to="Talking to {name}.",
    hint="Ctrl-C interrupts a reply; /help shows the commands.",
    help=(
        "/characters  who is there\n"
        "/new         start over\n"
        "/help        this text\n"
        "/quit        leave (or Ctrl-D)\n"
        "Ctrl-C       interrupt the reply; once more to leave"
    ),
    you="you",
    interrupted="interrupted",
    cut_short="cut short at the token limit",
    new_conversation="A new conversation.",
    no_characters="The server does not say who is there.",
    unknown_command="There is no command {command}; /help shows those there are.",
    no_server="Start one with `kaiwa serve`, or name another address with --url.",
    tokens_per_second="{rate:.0f} tokens/s",
    first_token="first token after {ms:.0f} ms",
    bye="Bye.",
)

JAPANESE = Words(
    talking_to="{name}と話しています。",
    hint="Ctrl-Cで返事をさえぎり、/helpでコマンドを表示します。",
    help=(
        "/characters  キャラクターの一覧\n"
        "/new         会話を最初から\n"
        "/help        この説明\n"
        "/quit        終了(Ctrl-Dでも可)\n"
        "Ctrl-C       返事をさえぎる。もう一度で終了"
    ),
    you="あなた",
    interrupted="さえぎりました",
    cut_short="トークン数の上限で切れました",
    new_conversation="新しい会話です。",
    no_characters="サーバーからキャラクターの一覧を得られません。",
    unknown_command="{command} というコマンドはありません。/help で一覧を表示します。",
    no_server="`kaiwa serve` で起動するか、--url で別のアドレスを指定してください。",
    tokens_per_second="毎秒{rate:.0f}トークン",
    first_token="最初のトークンまで{ms:.0f}ミリ秒",
    bye="またね。",
)

WORDS: dict[Language, Words] = {"en": ENGLISH, "ja": JAPANESE}


def guess_language() -> Language:
    """The language of the terminal's locale, as the environment tells it."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return "ja" if value.lower().startswith("ja") else "en"
    return "en"
