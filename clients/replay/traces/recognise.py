"""Tells which format a trace has, by what it holds and not by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clients.replay.script import ScriptError, Session
from clients.replay.traces import azure, burstgpt
from clients.replay.traces.azure import parse_azure
from clients.replay.traces.bailian import parse_bailian
from clients.replay.traces.burstgpt import parse_burstgpt
from clients.replay.traces.fields import Note, json_lines, shown
from clients.replay.traces.mooncake import parse_mooncake
from clients.replay.traces.multi_turn import is_multi_turn, parse_multi_turn
from clients.replay.traces.native import parse_native
from clients.replay.traces.sharegpt import parse_sharegpt
from clients.replay.traces.wire_log import is_wire_log, parse_wire_log

_GIT_LFS = "version https://git-lfs.github.com/"
"""What a checkout has in place of BurstGPT's and Bailian's files where Git LFS is not installed."""

Parse = Callable[[str, str, Note], list[Session]]


@dataclass(frozen=True, slots=True)
class TraceFormat:
    """One format.

    Attributes:
        name: As people call it.
        parse: Reads a whole text.
    """

    name: str
    parse: Parse


NATIVE = TraceFormat("script", parse_native)
MULTI_TURN = TraceFormat("aiperf multi_turn", parse_multi_turn)
MOONCAKE = TraceFormat("Mooncake", parse_mooncake)
BAILIAN = TraceFormat("Bailian", parse_bailian)
BURSTGPT = TraceFormat("BurstGPT", parse_burstgpt)
AZURE = TraceFormat("Azure", parse_azure)
SHAREGPT = TraceFormat("ShareGPT", parse_sharegpt)
WIRE_LOG = TraceFormat("wire log", parse_wire_log)


def recognise(text: str, name: str) -> TraceFormat:
    """Return the format of a text that is not empty.

    A table is known by its heading, JSON lines by the first record's fields. A line with turns
    is Kaiwa's unless some line of the file has turns as only aiperf writes them.

    Raises:
        ScriptError: It is none of those that are known.
    """
    stripped = text.lstrip()
    if stripped.startswith("["):
        return SHAREGPT
    heading = stripped.partition("\n")[0].strip()
    if not heading.startswith("{"):
        columns = {column.strip().strip('"') for column in heading.split(",")}
        if columns.issuperset(burstgpt.COLUMNS):
            return BURSTGPT
        if columns.issuperset(azure.COLUMNS):
            return AZURE
        if heading.startswith(_GIT_LFS):
            raise ScriptError(
                f"{name} is a pointer of Git LFS and not the trace; fetch it with `git lfs pull`"
            )
        raise ScriptError(
            f"{name} begins with {shown(heading)}; that is neither JSON nor the heading of a table "
            f"of BurstGPT ({', '.join(burstgpt.COLUMNS)}) or Azure ({', '.join(azure.COLUMNS)})"
        )
    first = next(json_lines(text, name)).fields
    found = _by_fields(first)
    if found is NATIVE and any(is_multi_turn(record.fields) for record in json_lines(text, name)):
        return MULTI_TURN
    if found is None:
        raise ScriptError(
            f"{name} has neither 'turns' (a script, aiperf), 'chat_id' (Bailian), 'hash_ids' or "
            "'input_length' (Mooncake) nor 'conversations' (ShareGPT) in its first record, but "
            + shown(", ".join(first))
        )
    return found


def _by_fields(first: dict[str, Any]) -> TraceFormat | None:
    if is_wire_log(first):
        return WIRE_LOG
    if "turns" in first:
        return NATIVE
    if "conversations" in first:
        return SHAREGPT
    if "chat_id" in first:
        return BAILIAN
    if "hash_ids" in first or "input_length" in first:
        return MOONCAKE
    return None
