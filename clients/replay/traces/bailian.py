"""Qwen's traces of Aliyun Bailian: chains of requests, by blocks of 16 tokens.

JSON lines with ``chat_id``, ``parent_chat_id`` (-1 begins a conversation), ``timestamp`` in
seconds, ``input_length`` and ``hash_ids`` of the whole prompt, history included,
``output_length``, ``type`` and ``turn``.
https://github.com/alibaba-edu/qwen-bailian-usagetraces-anon
"""

from __future__ import annotations

from collections import Counter

from clients.replay.script import ScriptError, Session
from clients.replay.traces.chains import Request, as_sessions
from clients.replay.traces.fields import Note, json_lines
from clients.replay.traces.times import from_first

HASH_BLOCK = 16
_ROOT = -1


def parse_bailian(text: str, name: str, note: Note) -> list[Session]:
    """Return a session per conversation.

    Where a request was answered twice (somebody asked for another reply), the earlier successor
    goes on with its conversation and the others are sessions of their own. So are requests whose
    parent is not in the file.

    Raises:
        ScriptError: A line cannot be read, or an id is there twice.
    """
    requests: dict[int, Request] = {}
    parents: dict[int, int] = {}
    types: Counter[str] = Counter()
    for record in json_lines(text, name):
        chat_id = record.whole("chat_id")
        if chat_id in requests:
            raise ScriptError(
                f"{record.where}: chat_id is {chat_id} once more; files of several traces must be "
                "replayed one by one"
            )
        parents[chat_id] = record.whole("parent_chat_id", _ROOT, least=_ROOT)
        record.whole("turn", 1)
        types[record.text("type", "text")] += 1
        requests[chat_id] = Request(
            record.number("timestamp"),
            record.tokens("input_length", least=1),
            record.tokens("output_length") or 1,
            record.hash_ids(),
        )
    if num_others := types["image"] + types["file"]:
        note(f"{name}: images and files are played by their tokens, {num_others} requests of them")
    return from_first(_conversations(requests, parents))


def _conversations(requests: dict[int, Request], parents: dict[int, int]) -> list[Session]:
    in_time = sorted(requests, key=lambda chat_id: requests[chat_id].time_s)
    chains: dict[int, list[Request]] = {}
    begun_by: dict[int, int] = {}  # the last of a chain, and the first
    for chat_id in in_time:
        first = begun_by.pop(parents[chat_id], chat_id)
        chains.setdefault(first, []).append(requests[chat_id])
        begun_by[chat_id] = first
    return [
        session
        for first, chain in chains.items()
        for session in as_sessions(
            f"chat-{first}",
            chain,
            hash_block=HASH_BLOCK,
            by_blocks=any(request.hash_ids for request in chain),
        )
    ]
