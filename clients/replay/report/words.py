"""What a report says in its own voice, in English and in Japanese."""

from __future__ import annotations

from collections.abc import Mapping

from clients.replay.script import ScriptError

LANGUAGES = ("en", "ja")

_WORDS: dict[str, tuple[str, str]] = {
    "figures": ("Figures", "測定値"),
    "felt": ("What listeners felt", "聞き手の体感"),
    "sweep": ("From rate to rate", "到着率を変えた比較"),
    "engine": ("What the engine did", "エンジンの動き"),
    "runs": ("Run by run", "実行ごとの詳細"),
    "nothing": ("nothing to show", "表示するデータがありません"),
    "again": ("How to do it again", "再現方法"),
    "invalid": ("This run says nothing of the target", "この実行は無効です"),
    "ttft": ("Time to the first token", "最初のトークンまでの時間（TTFT）"),
    "ttft.how": (
        "Share of replies whose first token came within so long; further left is better.",
        "横軸の時間内に最初のトークンが届いた応答の割合。左にあるほど良い。",
    ),
    "itl": ("Gap between tokens", "トークン間隔（ITL）"),
    "itl.how": (
        "Share of gaps that were no longer than this; a long tail is what stutters.",
        "横軸以下だった間隔の割合。右に長く伸びる裾が、つかえとして感じられる。",
    ),
    "e2e": ("End to end", "応答全体の時間"),
    "e2e.how": (
        "Share of whole replies that were over within so long; it grows with their length.",
        "横軸の時間内に終わった応答の割合。応答が長いほど大きくなる。",
    ),
    "lag": ("Send lag of the client", "クライアントの送信遅れ"),
    "lag.how": (
        "Share of requests sent no later than this after their planned time; it is the client's "
        "own fault, and beyond some ms the other figures are not the server's.",
        "予定時刻からの遅れが横軸以下だった送信の割合。これはクライアント側の遅れで、"
        "大きいときは他の値もサーバーのものとは言えない。",
    ),
    "p99": ("Time to the first token, p99 over time", "TTFT の p99 の推移"),
    "p99.how": (
        "For each window, the p99 of requests sent in it; a line that climbs has a queue that "
        "grows.",
        "各時間窓に送られた要求の p99。上がり続ける線は、待ち行列が伸びていることを示す。",
    ),
    "sweep.goodput": ("Goodput against offered rate", "到着率とグッドプット"),
    "sweep.goodput.how": (
        "Replies within all targets per second; on the dashed line all are. The knee is the "
        "highest rate up to which at least 95 % are; the bend is the point farthest above the "
        "straight line from first to last.",
        "すべての目標を満たした応答の毎秒の数。破線上では全応答が満たす。ニーは、95 % 以上が"
        "満たす最大の到着率。曲がり目は、両端を結ぶ直線から最も上に離れた点。",
    ),
    "sweep.ttft": ("TTFT p99 against offered rate", "到着率と TTFT p99"),
    "sweep.ttft.how": (
        "Below the knee it is nearly level; beyond it grows with the length of the run.",
        "ニーまではほぼ平らで、それを超えると実行時間とともに伸びる。",
    ),
    "knee": ("knee", "ニー"),
    "bend": ("bend", "曲がり目"),
    "all good": ("all that is offered", "すべて目標内"),
    "batch": ("Sequences in the batch", "バッチ内の系列数"),
    "batch.how": (
        "How many replies a step computed; a level top is the limit on rows.",
        "1 ステップで計算した応答の数。平らな上端は行数の上限。",
    ),
    "queue": ("Requests in the queue", "待ち行列の要求数"),
    "queue.how": (
        "Requests that no step has taken in yet; it should return to 0.",
        "まだどのステップにも入っていない要求。0 に戻るのが望ましい。",
    ),
    "kv": ("KV blocks held by live requests", "実行中の要求が持つ KV ブロック"),
    "kv.how": (
        "At 100 % somebody has to be preempted; what only the prefix cache holds is not counted.",
        "100 % に達すると誰かが追い出される。接頭辞キャッシュだけが持つ分は含まない。",
    ),
    "ttft over time": ("TTFT over time", "TTFT の推移"),
    "ttft over time.how": (
        "Percentiles of the requests sent in each window; p50 is the usual listener, p99 the "
        "unlucky one.",
        "各時間窓に送られた要求の百分位。p50 は普通の聞き手、p99 は運の悪い聞き手。",
    ),
    "itl over time": ("ITL over time", "ITL の推移"),
    "itl over time.how": (
        "Percentiles of the gaps that ended in each window.",
        "各時間窓に終わった間隔の百分位。",
    ),
    "rates": ("Offered against achieved", "提示と達成"),
    "rates.how": (
        "Requests per second. While completed stays below sent, work piles up; while sent stays "
        "below planned, the client is too slow.",
        "毎秒の要求数。完了が送信を下回る間は仕事がたまり、送信が予定を下回る間は"
        "クライアントが追いついていない。",
    ),
    "concurrency": ("Requests at once", "同時実行数"),
    "concurrency.how": (
        "Requests sent and not over, on average over each window and at most, and those of them "
        "that have no token yet.",
        "送信済みで終わっていない要求の、各時間窓での平均と最大。破線はそのうちまだトークンのない"
        "もの。",
    ),
    "waterfall": ("Sessions", "セッション"),
    "waterfall.how": (
        "One row per listener; the longer the yellow, the longer they waited. Between replies "
        "they read and think.",
        "1 行が 1 人の聞き手。黄色が長いほど長く待った。応答の間は読んで考えている。",
    ),
    "strips.reading": ("Underruns at reading speed", "読む速さでの途切れ"),
    "strips.speech": ("Underruns at speaking speed", "話す速さでの途切れ"),
    "strips.how": (
        "{speed:g} tokens/s, begun with {reserve} there. Red is where the next token had not "
        "come, as the figures count it.",
        "毎秒 {speed:g} トークン、{reserve} トークンで開始。赤は次のトークンが"
        "届いていなかったところ（測定値と同じ数え方）。",
    ),
    "sampled": (
        " {shown} of {all} sessions, taken evenly.",
        "全 {all} セッションから等間隔に {shown} を表示。",
    ),
    "queued": ("in the queue", "待ち行列"),
    "prefill": ("prefill until the first token", "最初のトークンまでのプリフィル"),
    "until first": ("until the first token", "最初のトークンまで"),
    "streaming": ("streaming", "配信中"),
    "thinking": ("reading and thinking", "読む・考える"),
    "unfinished": ("never ended", "終了せず"),
    "cancelled": ("cancelled", "中断"),
    "error": ("error", "エラー"),
    "resume": ("came back by a resume", "再接続で復帰"),
    "playing": ("listening", "再生中"),
    "underrun": ("underrun", "途切れ"),
    "planned": ("planned", "予定"),
    "sent": ("sent", "送信"),
    "completed": ("completed", "完了"),
    "at most": ("in flight, at most", "実行中（最大）"),
    "in flight": ("in flight", "実行中（平均）"),
    "waiting": ("without a token yet", "トークン未着"),
    "s": ("seconds from the begin", "開始からの秒数"),
    "ms": ("ms", "ミリ秒"),
    "share of replies": ("share of replies", "応答の割合"),
    "share of gaps": ("share of gaps", "間隔の割合"),
    "share of requests": ("share of requests", "要求の割合"),
    "sequences": ("sequences", "系列数"),
    "requests": ("requests", "要求数"),
    "per second": ("per second", "毎秒"),
    "offered per second": ("offered requests per second", "提示した毎秒の要求数"),
    "replies per second": ("replies per second", "毎秒の応答数"),
    "of the budget": ("% of the budget", "予算に対する %"),
}


def words(language: str) -> Mapping[str, str]:
    """Return everything that a report says, by what it is about.

    Args:
        language: One of ``LANGUAGES``.

    Raises:
        ScriptError: There is no such language.
    """
    if language not in LANGUAGES:
        raise ScriptError(f"{language!r} is no language of reports; there are en and ja")
    place = LANGUAGES.index(language)
    return {about: said[place] for about, said in _WORDS.items()}
