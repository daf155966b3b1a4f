"""What the rows of a report's table are called in Japanese; in English they say it themselves."""

from __future__ import annotations

_TITLES = {
    "Replies": "応答",
    "Waiting": "待ち時間",
    "Flow": "流れ",
    "Completed replies alone": "完了した応答のみ",
    "Throughput": "スループット",
    "Listening": "聞き手",
    "Interruptions": "割り込み",
    "Wire": "通信",
    "Engine": "エンジン",
    "Server's own clock": "サーバー側の時計",
}

_ROWS = {
    "replies / aborted / errors": "完了 / 中断 / エラー",
    "errors by code": "コード別のエラー",
    "never ended": "終了せず",
    "offered, requests/s": "提示した要求数/秒",
    "completed, replies/s": "完了した応答数/秒",
    "peak concurrency": "最大同時要求数",
    "send lag p50 / p99 / max ms": "送信遅れ p50 / p99 / 最大 ms",
    "TTFT mean ± std ms": "TTFT 平均 ± 標準偏差 ms",
    "second token (TTST) p50 / p99 ms": "2 番目のトークン（TTST）p50 / p99 ms",
    "first segment p50 / p99 ms": "最初の区切り p50 / p99 ms",
    "longest wait s": "最長の待ち s",
    "end to end p50 ms": "応答全体 p50 ms",
    "end to end p99 ms": "応答全体 p99 ms",
    "completed: TTFT p50 / p99 ms": "完了分：TTFT p50 / p99 ms",
    "completed: ITL p50 / p99 ms": "完了分：ITL p50 / p99 ms",
    "completed: TPOT p50 / p99 ms": "完了分：TPOT p50 / p99 ms",
    "completed: tokens/s": "完了分：トークン/秒",
    "tokens/s": "トークン/秒",
    "peak tokens/s": "最大トークン/秒",
    "effective tokens/s (TokenFlow)": "実効トークン/秒（TokenFlow）",
    "goodput, replies/s": "グッドプット 応答/秒",
    "goodput, share": "グッドプットの割合",
    "goodput, tokens/s": "グッドプット トークン/秒",
    "QoE (Andes), mean / p10": "QoE（Andes）平均 / p10",
    "underruns": "途切れの回数",
    "underrun seconds": "途切れの秒数",
    "… ms per minute": "… 1 分あたり ms",
    "… reading, ms per minute": "… 読む速さで 1 分あたり ms",
    "… speech, ms per minute": "… 話す速さで 1 分あたり ms",
    "interruptions": "割り込みの回数",
    "cancel to end p50 / p99 ms": "取り消しから終了 p50 / p99 ms",
    "cancel to last token p50 / p99 ms": "取り消しから最後のトークン p50 / p99 ms",
    "cancel: tokens under way / after": "取り消し：途中 / その後のトークン",
    "cancel: engine steps at most": "取り消し：エンジンのステップ（最大）",
    "resumed connections": "再接続の回数",
    "events missing / doubled": "イベントの欠落 / 重複",
    "replies whose text differs": "本文の異なる応答",
    "prompt tokens cached": "キャッシュ済みのプロンプト",
    "preemptions": "追い出し（プリエンプション）",
    "preemption waste": "追い出しによる再計算",
    "fairness between tenants (Jain)": "テナント間の公平さ（Jain）",
}
"""Those that are not here are abbreviations in either language, such as ``TTFT p50 ms``."""

_BEGINNINGS = {"server: ": "サーバー：", "client − server: ": "クライアント − サーバー："}


def japanese(name: str) -> str:
    """Return a row's or a group's name in Japanese."""
    for begin, said in _BEGINNINGS.items():
        if name.startswith(begin):
            return said + name.removeprefix(begin)
    return _TITLES.get(name) or _ROWS.get(name, name)
