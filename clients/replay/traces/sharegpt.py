"""ShareGPT V3: conversations with a chat service, in their own words and without times.

A JSON list of objects with ``id`` and ``conversations``, whose messages have ``from`` (``human``
or ``gpt``) and ``value``.
https://huggingface.co/datasets/anon8231489123/ShareGPT_Vicuna_unfiltered
"""

from __future__ import annotations

from collections.abc import Iterator

from clients.replay.script import ScriptError, Session, Turn
from clients.replay.token_estimate import estimated_tokens
from clients.replay.traces.fields import (
    MAX_RECORDS,
    Note,
    Record,
    as_record,
    json_lines,
    json_value,
)

LEAST_TOKENS = 4
MOST_PROMPT_TOKENS = 1024
MOST_TOKENS = 2048
"""Prompt and reply together. The three limits are those of vLLM's benchmarks
(``is_valid_sequence`` in vllm/benchmarks/datasets), by estimated tokens."""

_ASKS = frozenset({"human", "user"})
_ANSWERS = frozenset({"gpt", "chatgpt", "bing", "bard", "assistant"})


def parse_sharegpt(text: str, name: str, note: Note) -> list[Session]:
    """Return a session per conversation, all from 0 on: when they come is decided elsewhere.

    vLLM's filter decides which are used: at least two messages, of which the first two, question
    and answer, keep to the limits. What follows is played as far as it keeps to them as well.
    Lengths are estimates.

    Raises:
        ScriptError: It is no such list.
    """
    sessions = []
    num_out = 0
    for number, record in enumerate(_records(text, name), start=1):
        turns = _turns(record)
        if turns:
            key = record.name("id", f"conversation-{number}")
            sessions.append(Session(session_id=key, start_s=0.0, turns=turns))
        else:
            num_out += 1
    if num_out:
        note(
            f"{name}: {num_out} conversations are left out, by vLLM's filter: two messages are the "
            f"least, the first two of at least {LEAST_TOKENS} tokens, the question of at most "
            f"{MOST_PROMPT_TOKENS}, both of at most {MOST_TOKENS}"
        )
    return sessions


def _records(text: str, name: str) -> Iterator[Record]:
    if not text.lstrip().startswith("["):
        yield from json_lines(text, name)
        return
    items = json_value(text, name)
    if len(items) > MAX_RECORDS:
        raise ScriptError(f"{name} has {len(items)} conversations; {MAX_RECORDS} is the most")
    for number, item in enumerate(items, start=1):
        yield as_record(item, f"{name}, conversation {number}")


def _turns(record: Record) -> list[Turn]:
    """Return questions with the lengths of their answers, up to the first that is outside."""
    if not isinstance(record.fields.get("conversations"), list):
        raise ScriptError(f"{record.where}: 'conversations' must be a list of messages")
    turns: list[Turn] = []
    if len(record.fields["conversations"]) < 2:
        return turns
    question: str | None = None
    for message in record.objects("conversations", "message"):
        who, words = message.text("from"), message.text("value")
        if who in _ASKS:
            question = words
        elif who in _ANSWERS and question is not None:
            turn = Turn(
                input_tokens=estimated_tokens(question),
                output_tokens=estimated_tokens(words),
                text=question,
            )
            if not _is_within(turn):
                break
            turns.append(turn)
            question = None
    return turns


def _is_within(turn: Turn) -> bool:
    output_tokens = turn.output_tokens or 0
    return (
        LEAST_TOKENS <= turn.input_tokens <= MOST_PROMPT_TOKENS
        and output_tokens >= LEAST_TOKENS
        and turn.input_tokens + output_tokens <= MOST_TOKENS
    )
