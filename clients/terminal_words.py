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
    recorded: dict[str, str]
    help: str
    you: str
    interrupted: str
    cut_short: str
    new_conversation: str
    no_characters: str
    unknown_command: str
    no_server: str
    no_key: str
    coming_back: str
    back: str
    reply_lost: str
    engine_recovering: str
    engine_ready: str
    going_away: str
    expiring: str
    rate_limited: str
    busy: str
    wait: str
    key_ended: str
    taken_over: str
    flooded: str
    tokens_per_second: str
    first_token: str
    bye: str


ENGLISH = Words(
    talking_to="Talking to {name}.",
    hint="Ctrl-C interrupts a reply; /help shows the commands.",
    recorded={
        "none": "This conversation is recorded: lengths and times, none of its words.",
        "redacted": "This conversation is recorded, with other letters in place of what you write.",
        "full": "This conversation is recorded, with every word that you write.",
    },
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
    no_key="The server asks for a good key: name the file that holds yours with --api-key-file.",
    coming_back="The connection is lost; coming back by itself …",
    back="Connected again.",
    reply_lost="The connection was lost, and this reply with it. Please say that again.",
    engine_recovering="The engine is being restarted; the reply goes on by itself.",
    engine_ready="The engine is back.",
    going_away="The server is being restarted. What is said now is finished; then this comes back.",
    expiring="This session has reached its longest time and is renewed soon.",
    rate_limited="That was more than your limit allows.",
    busy="The server is busy just now.",
    wait="Try again in {seconds:.0f} s.",
    key_ended="Your key has expired or was taken away; start again with another one.",
    taken_over="This conversation goes on in another window.",
    flooded="More came from here than the server takes; wait a moment, then start again.",
    tokens_per_second="{rate:.0f} tokens/s",
    first_token="first token after {ms:.0f} ms",
    bye="Bye.",
)

JAPANESE = Words(
    talking_to="{name}と話しています。",
    hint="Ctrl-Cで返事をさえぎり、/helpでコマンドを表示します。",
    recorded={
        "none": "この会話は、長さと時刻だけが記録されています。言葉は残りません。",
        "redacted": "この会話は、書いた言葉を別の文字に置き換えて記録されています。",
        "full": "この会話は、書いた言葉も含めて記録されています。",
    },
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
    no_key="有効なキーが必要です。キーのファイルを --api-key-file で指定してください。",
    coming_back="接続が切れました。自動でつなぎ直しています…",
    back="再びつながりました。",
    reply_lost="接続が切れ、この返事は失われました。もう一度言ってください。",
    engine_recovering="エンジンを再起動しています。返事は自動で続きます。",
    engine_ready="エンジンが戻りました。",
    going_away="サーバーが再起動します。いまの返事が終わってから、つなぎ直します。",
    expiring="セッションの時間の上限が近づいたため、まもなくつなぎ直します。",
    rate_limited="上限を超えました。",
    busy="サーバーが混み合っています。",
    wait="{seconds:.0f}秒後にもう一度どうぞ。",
    key_ended="キーの期限が切れたか、取り消されました。別のキーで起動し直してください。",
    taken_over="この会話は別のウィンドウで続いています。",
    flooded="送る量がサーバーの上限を超えました。少し待ってから起動し直してください。",
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
